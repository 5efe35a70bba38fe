"""How many cases ended how, and which of those that ran to their end are to be looked at."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from wanbench.analysis.numbers import some
from wanbench.findings.basis import WARNING, Finding
from wanbench.registry.stages import OK

Findings = Mapping[str, Sequence[Finding]]

# More names hide the counts, and the report has a place that names them.
_MOST_NAMED = 5


def of_failed_check(cases: pd.DataFrame) -> list[str]:
    """Names of the cases that ran to their end and did not pass their check."""
    return list(cases.loc[(cases["status"] == OK) & (cases["failed_checks"].str.strip() != ""), "case"])


def with_warnings(cases: pd.DataFrame, findings: Findings) -> list[str]:
    """Names of the cases that ran to their end and have a warning among their findings."""
    names = cases.loc[cases["status"] == OK, "case"]
    return [name for name in names if any(finding.severity == WARNING for finding in findings.get(name, ()))]


def case_counts(cases: pd.DataFrame, findings: Findings, shown: Callable[[str], str]) -> str:
    """The counts in words.

    Args:
        shown: a name as the place that the words are for has to write it.
    """
    by_status = cases.groupby("status")["case"].agg(list).to_dict()
    ok = by_status.pop(OK, [])
    # Those that ran to their end need no names.
    parts = [f"{len(ok)} {OK}"] if ok else []
    parts += [f"{len(names)} {status} ({some(list(map(shown, names)))})" for status, names in by_status.items()]
    doubts = []
    for what, names, where in (
        ("failed a check", of_failed_check(cases), "Check"),
        # Not each warning stands in the column Check: a memory that is nearly full makes no figure doubtful.
        ("with warnings", with_warnings(cases, findings), "Performance Analysis"),
    ):
        if len(names) == len(ok) > 1:
            doubts.append(f"all {what}")
        elif names:
            named = f"see {where}" if len(names) > _MOST_NAMED else some(list(map(shown, names)))
            doubts.append(f"{len(names)} {what} ({named})")
    return ", ".join(parts or ["none"]) + (f"; of those that are {OK}: {', '.join(doubts)}" if doubts else "")
