"""Can Snakemake start here? It ends with a traceback where it cannot, before it reads the Snakefile."""

import getpass
import os
import sys
import tempfile
from pathlib import Path


def problems() -> list[str]:
    """A line for each thing that this user lacks, which says what to set."""
    lines = []
    try:
        getpass.getuser()
    except (KeyError, OSError):
        lines.append(f"user {os.getuid()} has no name here: set USER, such as `export USER=me`")
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        if not _is_writable(cache):
            lines.append(f"{cache} cannot be written to: set XDG_CACHE_HOME to a folder that can")
    except RuntimeError:
        lines.append("there is no home folder: set HOME to a folder that can be written to")
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        lines.append("no temporary folder can be written to, or its disk is full: set TMPDIR to one that can")
    if not all(_is_writable(Path(folder)) for folder in (".snakemake", "results", "logs")):
        lines.append(
            f"{Path.cwd()} cannot be written to (another user's checkout?): run "
            "`snakemake --cores 1 --directory FOLDER` with a folder of your own"
        )
    return lines


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is not there."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


if __name__ == "__main__":
    found = problems()
    sys.exit("\n".join(found) if found else 0)
