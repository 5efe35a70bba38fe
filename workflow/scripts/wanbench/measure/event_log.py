"""An append-only file of JSON lines: what a process has written stays readable after it died."""

import json
from pathlib import Path
from typing import Any


class EventLog:
    """Appends records. Each is one unbuffered write, so a kill loses at most the record being written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, record: dict[str, Any]) -> None:
        # A message can quote a file name that is no text; whoever shares it makes it one.
        self._file.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")


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
