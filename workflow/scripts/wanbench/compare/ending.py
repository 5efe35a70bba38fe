"""What a comparison says at the end of the command, whether or not it ends with an error."""

from typing import Any

from wanbench.util.text import visible


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
