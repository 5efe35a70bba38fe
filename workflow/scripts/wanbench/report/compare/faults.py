"""What of a comparison ends the command with an error."""

from typing import Any

from wanbench.text import visible


def faults_of(comparison: dict[str, Any]) -> dict[str, list[str]]:
    """Lines by what is wrong, as text that a terminal shows and does not obey; empty where nothing is.

    Args:
        comparison: as `as_json` gives it.
    """
    lines = {
        "and worse than the baseline is": comparison["worse"],
        # What could not be used was not compared, so it may be worse as well.
        "but could not compare": comparison["left_out"],
        "but nothing was compared": [] if comparison["rows"] else [_why_nothing(comparison)],
    }
    return {what: [visible(line) for line in found] for what, found in lines.items() if found}


def _why_nothing(comparison: dict[str, Any]) -> str:
    if comparison["cases"]:
        return "all cases that belong together made different videos"
    return "no case of the baseline has the name or the settings of one of this grid"
