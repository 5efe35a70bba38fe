"""Digests that decide whether a finished measurement still stands."""

import hashlib
import io
import json
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON text that is the same for equal values, whatever their order or layout in a file."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def sha256_of(value: Any) -> str:
    """Hexadecimal SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_comments(source: str) -> str:
    """Python source without comments, trailing blanks and blank lines.

    What is left decides what the code does, so that a comment does not cost hours of GPU time.
    """
    lines = source.splitlines()
    # Nearly half of the files have none, and every start of Snakemake reads them all.
    for token in tokenize.generate_tokens(io.StringIO(source).readline) if "#" in source else ():
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def code_digest(root: Path, patterns: Iterable[str]) -> str:
    """Digest of the code and data files below `root` that match the glob patterns."""
    files = sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})
    contents: Mapping[str, str] = {
        path.relative_to(root).as_posix(): without_comments(path.read_text("utf-8"))
        if path.suffix == ".py"
        else path.read_text("utf-8")
        for path in files
    }
    return value_digest(contents)


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
