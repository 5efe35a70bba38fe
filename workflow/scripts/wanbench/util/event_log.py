"""An append-only file of JSON lines: what a process has written stays readable after it died."""

import errno
import json
import os
from pathlib import Path
from typing import Any


class EventLog:
    """Appends records, each in one unbuffered write: on a kill or a full disk, all but the last line are whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._is_full = False

    def write(self, record: dict[str, Any]) -> None:
        """Append one record; raises OSError where the disk is full, or was when one before was written in part."""
        # A message can quote a file name that is no text; whoever shares it makes it one.
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        if not self._is_full and self._file.write(line) == len(line):
            return
        self._is_full = True
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)


class EventTail:
    """Reads records as they are appended by another process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new_records(self) -> list[dict[str, Any]]:
        """Records that became complete since the last call; none while the file does not exist."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [json.loads(line) for line in complete.splitlines()]
