"""The comparison for programs: JSON, one typed table of all rows, and what the command says and ends with."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from wanbench.compare.change_verdict import Comparison, not_measured_again, regressions
from wanbench.compare.match import in_all
from wanbench.compare.policy import MEASURE, OTHER_STAGE, POLICIES, SHOWN_STAGE
from wanbench.registry.metrics import COMPARISON_COLUMNS
from wanbench.util.text import visible

SCHEMA_VERSION = 2
HOW_TO_MEASURE_AGAIN = "`--forcerun measure` does, such as after a change of software that no file here names"
_OF_CASE = ("case", "old_case", "differences", "withheld", "busy", "failed")


def verdict_counts(comparison: Comparison) -> dict[str, int]:
    """Number of measures by verdict; those of stages are not counted."""
    rows = comparison.rows
    return rows[rows["kind"] == MEASURE]["verdict"].value_counts().sort_index().to_dict()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of the comparison as plain values; units are those of the rows and rules."""
    table = as_table(comparison)
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": comparison.baseline,
        "verdicts": verdict_counts(comparison),
        "worse": regressions(comparison),
        "not_measured_again": not_measured_again(comparison),
        "rules": [asdict(policy) for policy in (*POLICIES.values(), OTHER_STAGE, SHOWN_STAGE)],
        # Of hardware and software, in all cases; each case has its own as well.
        "differences": [asdict(item) for item in in_all([case.differences for case in comparison.cases])],
        "cases": [{key: asdict(case)[key] for key in _OF_CASE} for case in comparison.cases],
        "rows": table.astype(object).where(table.notna(), None).to_dict("records"),
        "only_old": list(comparison.only_old),
        "only_new": list(comparison.only_new),
        "excluded": list(comparison.excluded),
    }


def as_table(comparison: Comparison) -> pd.DataFrame:
    """One row for each measure and stage of each pair of cases; empty means not measured, or no spread."""
    return pd.DataFrame(comparison.rows, columns=list(COMPARISON_COLUMNS)).astype(COMPARISON_COLUMNS)


def ending(comparison: dict[str, Any]) -> list[str]:
    """Counts of cases and of verdicts, as text that a terminal shows and does not obey.

    Args:
        comparison: as `as_json` gives it.
    """
    words = {
        "cases": "of both sides",
        "not_measured_again": "not measured again",
        "only_old": "only in the baseline",
        "only_new": "only in this run",
        "excluded": "excluded",
    }
    counts = [f"{len(comparison[key])} {what}" for key, what in words.items() if comparison[key]]
    verdicts = [f"{count} {verdict}" for verdict, count in comparison["verdicts"].items()]
    found = {"Cases": counts, "Verdicts of measures": verdicts}
    return [visible(f"{what}: {', '.join(parts) or 'none'}") for what, parts in found.items()]


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
