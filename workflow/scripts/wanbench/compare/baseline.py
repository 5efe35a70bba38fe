"""Where a baseline's traces are. Imports nothing beyond the standard library: it is read before any job."""

import os
from pathlib import Path

from wanbench.util.errors import InputError
from wanbench.util.paths import named_path

ALLOWED = "a results folder, or a folder with traces (*.json, *.json.gz)"


def baseline_files(named: str | Path | None, own_results: Path) -> list[Path]:
    """The traces of a baseline as the user named it, sorted.

    Args:
        own_results: where this run writes; as a baseline it would change under the comparison.

    Raises:
        InputError: there is nothing to compare with. The message names the path and what is allowed.
    """
    path = named_path(named or "")
    if not path.name or not os.path.exists(path):
        raise InputError(f"baseline {path}: does not exist; allowed: {ALLOWED}")
    if path.is_file():
        raise InputError(f"baseline {path}: is a file; allowed: {ALLOWED}")
    folder = path / "traces" if (path / "traces").is_dir() else path
    if folder.resolve() == (own_results / "traces").resolve():
        raise InputError(f"baseline {path}: is where this run writes its traces; allowed: a copy of it")
    traces = sorted(file for file in folder.iterdir() if file.name.endswith((".json", ".json.gz")))
    if not traces:
        raise InputError(f"baseline {path}: holds no traces; allowed: {ALLOWED}")
    names: dict[str, Path] = {}
    for file in traces:
        other = names.setdefault(file.name.removesuffix(".gz"), file)
        if other != file:
            raise InputError(f"baseline {path}: {other.name} and {file.name} are the same case; allowed: one of them")
    return traces
