"""What a process prints, on its way to a log: without secrets and names, and without what acts on a terminal."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from wanbench.util.redaction import message_redactor
from wanbench.util.text import visible

_ENDS_WITHIN_S = 5.0


@contextmanager
def log_pipe(log: Path) -> Iterator[int]:
    """File descriptor that a process may print to; its lines are appended to the log as they come.

    Of a line that was written over and over (a progress bar) the last state is kept. After the block the process should
    be gone; one that still holds the pipe is not waited for.
    """
    reading, writing = os.pipe()
    thread = threading.Thread(target=_pump, args=(reading, log.open("ab", buffering=0)), daemon=True)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join(_ENDS_WITHIN_S)


def _pump(reading: int, log: IO[bytes]) -> None:
    redact = message_redactor()
    with os.fdopen(reading, "rb") as pipe, log:
        for line in pipe:
            # Nobody may wait for a reader that gave up: a full disk costs lines of the log, and not the case.
            with suppress(OSError):
                log.write(f"{visible(redact(_as_shown(line)))}\n".encode())


def _as_shown(line: bytes) -> str:
    """A line as a terminal shows it in the end."""
    return line.rstrip(b"\r\n").rsplit(b"\r", 1)[-1].decode("utf-8", "backslashreplace")
