"""Can Snakemake start here? It ends with a traceback where it cannot, before it reads the Snakefile."""

import getpass
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from wanbench.util.paths import unwritable


def problems() -> list[str]:
    """A line for each thing that this user lacks, which says what to set."""
    lines = []
    try:
        getpass.getuser()
    except (KeyError, OSError):
        lines.append(f"user {os.getuid()} has no name here: set USER, such as `export USER=me`")
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        if unwritable([cache]):
            lines.append(f"{cache} cannot be written to: set XDG_CACHE_HOME to a folder that can")
    except RuntimeError:
        lines.append("there is no home folder: set HOME to a folder that can be written to")
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        lines.append("no temporary folder can be written to, or its disk is full: set TMPDIR to one that can")
    return lines


if __name__ == "__main__":
    found = problems()
    sys.exit("\n".join(found) if found else 0)
