"""The log of a rule: warnings and tracebacks name files, and files lie in somebody's home folder."""

import io
from pathlib import Path
from typing import TextIO

from wanbench.util.redaction import redacted_message
from wanbench.util.text import visible


class _RuleLog(io.TextIOBase):
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def write(self, text: str) -> int:
        self._file.write(visible(redacted_message(text)))
        return len(text)


def open_log(path: str) -> TextIO:
    """A log to write to as to standard error, without secrets and names, and without what acts on a terminal."""
    return _RuleLog(Path(path))
