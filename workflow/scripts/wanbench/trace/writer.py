"""Write a trace: the whole file or none, with a checksum that tells when somebody changed it."""

import hashlib
import json
import os
from itertools import takewhile
from pathlib import Path
from typing import Any

from wanbench.util.text import escape_in_json

_EVENTS_BEGIN = ' "traceEvents": [\n'


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a crash, sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name for all attempts: what a killed process leaves is replaced by the next one.
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# Of all bytes before it, so that a trace that was written anew by another tool does not pass for the measured one.
CHECKSUM = ',\n "sha256": "{}"}}\n'


def write_trace(path: Path, trace: dict[str, Any]) -> None:
    """Write a trace, one event a line, so that it can be read with ordinary tools.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold and nobody can have measured.
    """
    head = {key: value for key, value in trace.items() if key != "traceEvents"}
    head_text = json.dumps(head, ensure_ascii=False, allow_nan=False, indent=1)
    events = ",\n".join(
        json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")) for event in trace["traceEvents"]
    )
    text = escape_in_json(f"{head_text[:-2]},\n{_EVENTS_BEGIN}{events}\n]")
    write_atomically(path, text + CHECKSUM.format(hashlib.sha256(text.encode()).hexdigest()))


def read_head(path: Path) -> dict[str, Any] | None:
    """What a trace says but for its events, without reading those; None for what `write_trace` has not written so."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(takewhile(lambda line: line != _EVENTS_BEGIN, file))
        return json.loads("".join(lines).rstrip(",\n") + "}")
    except (OSError, ValueError):
        return None
