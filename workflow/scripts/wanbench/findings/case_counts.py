"""How many cases ended how, and which of those that ran to their end are to be looked at."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from wanbench.analysis.numbers import some
from wanbench.findings.basis import WARNING, Finding
from wanbench.registry.stages import OK

Findings = Mapping[str, Sequence[Finding]]


def of_failed_check(cases: pd.DataFrame) -> list[str]:
    """Names of the cases that ran to their end and did not pass their check."""
    return list(cases.loc[(cases["status"] == OK) & (cases["failed_checks"].str.strip() != ""), "case"])


def with_warnings(cases: pd.DataFrame, findings: Findings) -> list[str]:
    """Names of the cases that ran to their end and have a warning among their findings."""
    names = cases.loc[cases["status"] == OK, "case"]
    return [name for name in names if any(finding.severity == WARNING for finding in findings.get(name, ()))]


def case_counts(cases: pd.DataFrame, findings: Findings, shown: Callable[[str], str]) -> str:
    """The counts in words: how many cases are ok, and how many and which others, failed checks and warnings.

    Args:
        shown: a name as the place that the words are for has to write it.
    """
    by_status = cases.groupby("status")["case"].agg(list).to_dict()
    ok = len(by_status.pop(OK, []))
    named = [*((len(names), status, names) for status, names in by_status.items())]
    doubtful, warned = of_failed_check(cases), with_warnings(cases, findings)
    named += [(len(doubtful), "failed a check", doubtful)] if doubtful else []
    named += [(len(warned), "with warnings", warned)] if warned else []
    others = [f"{count} {what} ({some([shown(name) for name in names])})" for count, what, names in named]
    return ", ".join([f"{ok} case{'' if ok == 1 else 's'} ok", *others])
