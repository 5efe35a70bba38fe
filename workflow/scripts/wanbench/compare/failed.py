"""What of a comparison ends the command with an error."""

from typing import Any

from wanbench.compare.change_verdict import HOW_TO_MEASURE_AGAIN
from wanbench.util.text import visible


def faults_of(comparison: dict[str, Any]) -> dict[str, list[str]]:
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
