"""What a run says of cases that failed and of traces of no case: in its process, and where its report is made."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from wanbench.text import one_line

# Traces of cases that the grid does not have now can wait here, where nothing reads them.
_ASIDE = "results/aside/traces"


def of_failed_case(
    case: str, status: str, stage: str | None, error_type: str | None, message: str, folder: str = ""
) -> str:
    """One line that names a case, what happened to it and where its log is.

    Args:
        folder: where results are made, as the user would write it; empty for where Snakemake was started.
    """
    where = f" in {stage}" if stage else ""
    said = one_line(f"{error_type}: {message}" if error_type else message)
    return f"{case}: {status}{where}: {said} ({Path(folder, 'logs/measure', f'{case}.log')})"


def of_no_case(files: Iterable[str], grid: str, folder: str = "") -> str:
    """One line that names traces of cases that the grid does not have, and says what to do.

    Args:
        grid: the grid file, as the user would write it.
        folder: as for `of_failed_case`.
    """
    listed = shlex.join(one_line(file) for file in files)
    move = f"mkdir -p {_ASIDE} && mv -n {listed} {_ASIDE}"
    return (
        f"{grid} has no cases for these traces, so they are left out. Put the cases back, delete what they left "
        "(README.md, 'Only what changed runs again'), or keep the traces for another grid (moved back for it, they are "
        f"not measured again): {f'(cd {shlex.quote(folder)} && {move})' if folder else move}"
    )
