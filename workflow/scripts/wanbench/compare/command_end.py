"""What a comparison logs at the end of the command, and what of it ends the command with an error."""

from typing import Any

from wanbench.util.text import visible

HOW_TO_MEASURE_AGAIN = "`--forcerun measure` does, such as after a change of software that no file here names"


def ending(comparison: dict[str, Any]) -> list[str]:
    """Counts of cases and of verdicts, as text that a terminal shows and does not obey.

    Args:
        comparison: as `as_json` gives it.
    """
    counts = {
        "of both sides": len(comparison["cases"]),
        "not measured again": len(comparison["not_measured_again"]),
        "only in the baseline": len(comparison["only_old"]),
        "only in this run": len(comparison["only_new"]),
        "excluded": len(comparison["excluded"]),
    }
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in comparison["verdicts"].items())
    lines = [
        f"Cases: {', '.join(f'{count} {what}' for what, count in counts.items() if count) or 'none'}",
        f"Verdicts of measures: {verdicts or 'none'}",
    ]
    return [visible(line) for line in lines]


def errors_of(comparison: dict[str, Any]) -> dict[str, list[str]]:
    """Lines by what is wrong, as text that a terminal shows and does not obey; empty where nothing is.

    Args:
        comparison: as `as_json` gives it.
    """
    lines = {
        "and worse than the baseline is": comparison["worse"],
        # What could not be used was not compared, so it may be worse as well.
        "but could not compare": comparison["excluded"],
        "but nothing was compared": _why_nothing(comparison),
    }
    return {what: [visible(line) for line in found] for what, found in lines.items() if found}


def _why_nothing(comparison: dict[str, Any]) -> list[str]:
    if not comparison["cases"]:
        none = "no case of the baseline has the name or the settings of one of this grid"
        return [f"{none} (--config grid=FILE names another)"]
    if not comparison["rows"]:
        return ["all cases that belong together made different videos"]
    # Such a comparison would pass whatever was changed since.
    if {row["case"] for row in comparison["rows"]} <= set(comparison["not_measured_again"]):
        return [f"all traces are the baseline's own: nothing was measured again ({HOW_TO_MEASURE_AGAIN})"]
    return []
