"""What whoever watches a case sees: its log, and lines that show how far it is."""

import os
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from wanbench.registry import stages as stage_names
from wanbench.util.redaction import redacted_message
from wanbench.util.text import visible

_PIPE_ENDS_WITHIN_S = 5.0


def log_line(log: IO[str], case_name: str, line: str) -> None:
    """Write a line about a case to the terminal and to its log."""
    line = visible(f"[{case_name}] {line}")
    # A terminal can be closed while a case runs, and a pipe lose its reader. In one piece: cases side by side share the
    # terminal, and `print` writes the end of the line apart.
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
    # A full disk costs lines of the log, and no case for that. Not through the buffer, which would try again later.
    with suppress(OSError):
        os.write(log.fileno(), f"{datetime.now():%H:%M:%S} {line}\n".encode())


@contextmanager
def log_pipe(log: Path) -> Iterator[int]:
    """File descriptor that a process may print to; its lines are appended to the log as they come.

    Secrets and names are redacted, and what acts on a terminal is escaped. Of a line that was written over and over (a
    progress bar) the last state is kept. A process that still holds the pipe after the block is not waited for.
    """
    reading, writing = os.pipe()
    thread = threading.Thread(target=_pump, args=(reading, log.open("ab", buffering=0)), daemon=True)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join(_PIPE_ENDS_WITHIN_S)


def _pump(reading: int, log: IO[bytes]) -> None:
    with os.fdopen(reading, "rb") as pipe, log:
        for line in pipe:
            shown = line.rstrip(b"\r\n").rsplit(b"\r", 1)[-1].decode("utf-8", "backslashreplace")
            # Nobody may wait for a reader that gave up: a full disk costs lines of the log, and not the case.
            with suppress(OSError):
                log.write(f"{visible(redacted_message(shown))}\n".encode())


class Progress:
    """Turns the records of a measured process into lines; a step's line says how long the rest will take."""

    def __init__(self) -> None:
        # Records of what began, with the time of what lay in it.
        self._open: list[dict[str, Any]] = []
        self._steps_s: list[float] = []

    def line(self, record: dict[str, Any]) -> str | None:
        """The line for a record, or None for records that nobody needs to read."""
        if record["record"] == "generation" and record["number"] > 0:
            self._steps_s.clear()
            return f"generation {record['number'] + 1}"
        if record["record"] == "begin" and record["kind"] != "detail":
            self._open.append(record | {"inner_ns": 0})
        if record["record"] == "end" and self._open and self._open[-1]["span"] == record["span"]:
            return self._text(self._open.pop(), record["time_ns"])
        return None

    def _text(self, begin: dict[str, Any], end_ns: int) -> str:
        name, args, lasted_ns = begin["name"], begin["args"], end_ns - begin["time_ns"]
        own_s = (lasted_ns - begin["inner_ns"]) / 1e9
        if self._open and self._open[-1]["name"] != stage_names.TOTAL_EXECUTION:
            self._open[-1]["inner_ns"] += lasted_ns
        if "step" not in args:
            return f"{name}: {own_s:.2f} s"
        self._steps_s.append(own_s)
        # The first step is slow (caches, autotuning), so the estimate is made without it once there are others.
        typical_s = statistics.median(self._steps_s[1:] or self._steps_s)
        left = args["steps"] - args["step"] - 1
        rest = f", about {left * typical_s / 60:.1f} min of denoising left" if left else ""
        return f"{name} ({args['step'] + 1}/{args['steps']}): {own_s:.2f} s{rest}"
