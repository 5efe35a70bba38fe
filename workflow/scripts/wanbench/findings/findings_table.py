"""Findings as a typed table, from which the report and its page are made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pandas as pd

from wanbench.analysis.tables import records_by_case
from wanbench.findings.basis import Finding
from wanbench.registry.metrics import FINDING_COLUMNS


def findings_table(findings: Mapping[str, Iterable[Finding]]) -> pd.DataFrame:
    """One row for each finding of each case, the gravest of a case first.

    `evidence` and `advised` are JSON: figures with units in their keys, and alternatives, each what to set together.
    """
    rows = [
        asdict(finding)
        | {"case": case, "evidence": json.dumps(finding.evidence), "advised": json.dumps(finding.advised)}
        for case, of_case in findings.items()
        for finding in of_case
    ]
    return pd.DataFrame(rows, columns=list(FINDING_COLUMNS)).astype(FINDING_COLUMNS)


def findings_of_table(table: pd.DataFrame) -> dict[str, list[Finding]]:
    """The findings that a table was made of, by case; a case without any has no entry."""
    return {case: [_finding(row) for row in rows] for case, rows in records_by_case(table).items()}


def _finding(row: Mapping[str, str]) -> Finding:
    advised = tuple(tuple(settings) for settings in json.loads(row["advised"]))
    return Finding(row["rule"], row["severity"], json.loads(row["evidence"]), row["text"], row["advice"], advised)
