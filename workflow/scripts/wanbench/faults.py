"""What a run says of cases that failed and of traces of no case: in its process, and where its report is made."""

import shlex
from collections.abc import Iterable

from wanbench.text import one_line

# Traces of cases that the grid does not have now can wait here, where nothing reads them.
_ASIDE = "results/aside/traces"


def of_failed_case(case: str, status: str, stage: str | None, error_type: str | None, message: str) -> str:
    """One line that names a case, what happened to it and where its log is."""
    where = f" in {stage}" if stage else ""
    said = one_line(f"{error_type}: {message}" if error_type else message)
    return f"{case}: {status}{where}: {said} (logs/measure/{case}.log)"


def of_no_case(files: Iterable[str], grid: str) -> str:
    """One line that names traces of cases that the grid does not have, and says what to do.

    Args:
        grid: the grid file, as the user would write it.
    """
    listed = shlex.join(one_line(file) for file in files)
    return (
        f"{grid} has no cases for these traces, so they are left out. Put the cases back, delete what they left "
        "(README.md, 'Only what changed runs again'), or keep the traces for another grid (moved back for it, they are "
        f"not measured again): mkdir -p {_ASIDE} && mv -n {listed} {_ASIDE}"
    )
