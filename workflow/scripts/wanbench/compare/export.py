"""The comparison for programs."""

from dataclasses import asdict
from typing import Any

from wanbench.analysis.tables import records
from wanbench.compare.change_verdict import Comparison, not_measured_again, regressions
from wanbench.compare.match import in_all
from wanbench.registry.policies import MEASURE, POLICIES

SCHEMA_VERSION = 2


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All of the comparison as plain values; units are those of the rows and rules."""
    rows = comparison.rows
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": comparison.baseline,
        # Of measures; those of stages decide nothing.
        "verdicts": rows[rows["kind"] == MEASURE]["verdict"].value_counts().sort_index().to_dict(),
        "worse": regressions(comparison),
        "not_measured_again": not_measured_again(comparison),
        "rules": [asdict(policy) for policy in POLICIES.values()],
        # Of hardware and software, in all cases; each case has its own as well.
        "differences": [asdict(item) for item in in_all([pair.differences for pair in comparison.cases])],
        "cases": [
            {"case": pair.case, "old_case": pair.old_case, "differences": list(map(asdict, pair.differences))}
            | {key: getattr(pair, key) or None for key in ("withheld", "busy", "failed")}
            for pair in comparison.cases
        ],
        "rows": records(rows),
        "only_old": list(comparison.only_old),
        "only_new": list(comparison.only_new),
        "excluded": list(comparison.excluded),
        "videos": [asdict(change) for change in comparison.videos],
    }
