"""Digests that decide whether a finished measurement still stands."""

import hashlib
import json
from pathlib import Path
from typing import Any


def sha256_of(value: Any) -> str:
    """Hexadecimal SHA-256, the same for equal values, whatever their order or layout in a file."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def value_digest(value: Any) -> str:
    """Short digest of a value, such as a parsed file: comments and layout do not count."""
    return sha256_of(value)[:16]


def checkpoint_digest(folder: Path) -> str:
    """Digest of a checkpoint folder: its JSON files' bytes, and every file's name and size.

    Weights are tens of gigabytes, and are not read for it.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {
        path.relative_to(folder).as_posix(): sha256_of_file(path) if path.suffix == ".json" else path.stat().st_size
        for path in files
    }
    return sha256_of(entries)
