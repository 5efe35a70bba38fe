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
    return list(_ok(cases).loc[lambda ok: ok["failed_checks"].str.strip() != "", "case"])


def with_warnings(cases: pd.DataFrame, findings: Findings) -> list[str]:
    """Names of the cases that ran to their end and have a warning among their findings."""
    return [
        name for name in _ok(cases)["case"] if any(finding.severity == WARNING for finding in findings.get(name, ()))
    ]


def case_counts(cases: pd.DataFrame, findings: Findings, shown: Callable[[str], str]) -> str:
    """The counts in words.

    Args:
        shown: a name as the place that the words are for has to write it.
    """
    by_status = cases.groupby("status")["case"].agg(list).to_dict()
    # Those that ran to their end need no names.
    parts = [f"{len(by_status.pop(OK))} {OK}"] if OK in by_status else []
    parts += [f"{len(names)} {status} ({_named(names, shown)})" for status, names in by_status.items()]
    text = ", ".join(parts) or "none"
    failed, warned = of_failed_check(cases), with_warnings(cases, findings)
    doubts = [f"{len(failed)} did not pass {_its(failed)} check ({_few(failed, shown, 'Check')})"] if failed else []
    if len(warned) == len(_ok(cases)) > 0:
        doubts.append("all with warnings")
    elif warned:
        # Not each warning stands in the column Check: a memory that is nearly full makes no figure doubtful.
        doubts.append(f"{len(warned)} with warnings ({_few(warned, shown, 'Performance Analysis')})")
    return f"{text}; of those that are {OK}: {', '.join(doubts)}" if doubts else text


def _ok(cases: pd.DataFrame) -> pd.DataFrame:
    return cases[cases["status"] == OK]


def _its(names: Sequence[str]) -> str:
    return "its" if len(names) == 1 else "their"


def _few(names: Sequence[str], shown: Callable[[str], str], where: str) -> str:
    return f"see {where}" if len(names) > _MOST_NAMED else _named(names, shown)


def _named(names: Sequence[str], shown: Callable[[str], str]) -> str:
    return some([shown(name) for name in names])
