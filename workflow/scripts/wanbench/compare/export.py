"""The comparison for programs: JSON, and one typed table of all rows."""

from dataclasses import asdict
from typing import Any

import pandas as pd

from wanbench.compare.change_verdict import Comparison, not_measured_again, regressions
from wanbench.compare.match import in_all
from wanbench.compare.policy import MEASURE, POLICIES
from wanbench.registry.metrics import COMPARISON_COLUMNS

SCHEMA_VERSION = 2
_OF_CASE = ("case", "old_case", "differences", "withheld", "busy", "failed")


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of the comparison as plain values; units are those of the rows and rules."""
    table, rows = as_table(comparison), comparison.rows
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": comparison.baseline,
        # Of measures; those of stages decide nothing.
        "verdicts": rows[rows["kind"] == MEASURE]["verdict"].value_counts().sort_index().to_dict(),
        "worse": regressions(comparison),
        "not_measured_again": not_measured_again(comparison),
        "rules": [asdict(policy) for policy in POLICIES.values()],
        # Of hardware and software, in all cases; each case has its own as well.
        "differences": [asdict(item) for item in in_all([case.differences for case in comparison.cases])],
        "cases": [{key: asdict(case)[key] for key in _OF_CASE} for case in comparison.cases],
        "rows": table.astype(object).where(table.notna(), None).to_dict("records"),
        "only_old": list(comparison.only_old),
        "only_new": list(comparison.only_new),
        "excluded": list(comparison.excluded),
        "videos": [asdict(change) for change in comparison.videos],
    }


def as_table(comparison: Comparison) -> pd.DataFrame:
    """One row for each measure and stage of each pair of cases; empty means not measured, or no spread."""
    return pd.DataFrame(comparison.rows, columns=list(COMPARISON_COLUMNS)).astype(COMPARISON_COLUMNS)
