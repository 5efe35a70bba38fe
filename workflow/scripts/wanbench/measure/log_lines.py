"""Lines for whoever watches a case."""

import os
import sys
from contextlib import suppress
from datetime import datetime
from typing import IO

from wanbench.util.text import visible


def say(log: IO[str], line: str) -> None:
    """Tell whoever watches the terminal, and the log."""
    line = visible(line)
    # A terminal can be closed while a case runs, and a pipe lose its reader. In one piece: cases side by side share the
    # terminal, and `print` writes the end of the line apart.
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
    # A full disk costs lines of the log, and no case for that. Not through the buffer, which would try again later.
    with suppress(OSError):
        os.write(log.fileno(), f"{datetime.now():%H:%M:%S} {line}\n".encode())
