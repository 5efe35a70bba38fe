"""The comparison for programs: JSON, and one typed table of all rows."""

from collections import Counter
from dataclasses import asdict
from typing import Any

import pandas as pd

from wanbench.compare.change_verdict import Comparison, not_measured_again, regressions
from wanbench.compare.match import in_all
from wanbench.compare.policy import OTHER_STAGE, POLICIES, SHOWN_STAGE

SCHEMA_VERSION = 1

_COLUMNS = {
    "case": "string",
    "old_case": "string",
    "kind": "string",
    "name": "string",
    "unit": "string",
    "old": "Float64",
    "new": "Float64",
    "ratio": "Float64",
    "spread": "Float64",
    "verdict": "string",
}


def verdict_counts(comparison: Comparison) -> dict[str, int]:
    """Number of measures by verdict; those of stages are not counted."""
    verdicts = [row.verdict for case in comparison.cases for row in case.rows if row.kind == "measure"]
    return dict(sorted(Counter(verdicts).items()))


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of the comparison as plain values; units are those of the rows and rules."""
    cases = [{key: value for key, value in asdict(case).items() if key != "rows"} for case in comparison.cases]
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": comparison.baseline,
        "verdicts": verdict_counts(comparison),
        "worse": regressions(comparison),
        "not_measured_again": not_measured_again(comparison),
        "rules": [asdict(policy) for policy in (*POLICIES.values(), OTHER_STAGE, SHOWN_STAGE)],
        # Of hardware and software, in all cases; each case has its own as well.
        "differences": [asdict(item) for item in in_all([case.differences for case in comparison.cases])],
        "cases": cases,
        "rows": _rows(comparison),
        "only_old": list(comparison.only_old),
        "only_new": list(comparison.only_new),
        "excluded": list(comparison.excluded),
        "notes": list(comparison.notes),
    }


def as_table(comparison: Comparison) -> pd.DataFrame:
    """One row for each measure and stage of each pair of cases; empty means not measured, or no spread."""
    return pd.DataFrame(_rows(comparison), columns=list(_COLUMNS), dtype=object).astype(_COLUMNS)


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    return [asdict(row) | {"old_case": case.old_case} for case in comparison.cases for row in case.rows]
