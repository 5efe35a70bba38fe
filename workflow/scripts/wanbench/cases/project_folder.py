"""Where the project lies, and whose it is: another user of a checkout gets one line, and dry runs."""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from wanbench.util.errors import InputError
from wanbench.util.paths import unwritable

# Of thousands of jobs both need no more.
_LEAST_FREE_BYTES = 1_000_000


def check_folders(project: Path, records: Path) -> None:
    """Refuse what Snakemake itself would end with a traceback for, even in a dry run.

    Args:
        records: Snakemake's own folder.

    Raises:
        InputError: braces in the project's path, no space on a disk, or records that this user may not read or make.
    """
    if {"{", "}"} & set(str(project)):
        problem = "Snakemake takes braces in the path of a project for wildcards; allowed: without braces"
        raise InputError(f"{project}: {problem}")
    if not (records / "locks").is_dir() and (problem := problem_of_writing([records.name])):
        raise InputError(problem)
    # The records lie in the one. The solver of Snakemake's scheduler writes to the other, also where Python takes
    # another folder since this one is full.
    for folder, instead in ((".", "--directory"), (os.environ.get("TMPDIR") or "/tmp", "TMPDIR")):
        if os.path.isdir(folder) and shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
            allowed = f"room there, or another {instead}"
            raise InputError(f"{os.path.abspath(folder)}: no space left on its disk; allowed: {allowed}")
    if any(not os.access(file, os.R_OK) for file in records.glob("metadata/*")):
        raise InputError(_unwritable_line([f"{records.name}/metadata"]))


def problem_of_writing(folders: Iterable[str]) -> str | None:
    """One line where this user cannot write to some of the folders."""
    there = unwritable(folders)
    return _unwritable_line(there) if there else None


def _unwritable_line(folders: list[str]) -> str:
    allowed = "`--directory FOLDER`, with a folder of your own, or the rights to write here"
    return f"{', '.join(folders)} cannot be written to by this user: allowed: {allowed}"


def share_records(records: Path) -> None:
    """Let other users read Snakemake's records, which a dry run of theirs needs; Snakemake keeps them to itself."""
    umask = os.umask(0)
    os.umask(umask)
    with suppress(OSError):
        if records.is_dir():
            (records / "locks").mkdir(exist_ok=True)
        for file in records.glob("metadata/**/*"):
            file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)
