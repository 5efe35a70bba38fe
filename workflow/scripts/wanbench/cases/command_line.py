"""What was given on the command line of Snakemake."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wanbench.util.errors import InputError

DEFAULT_GRID = "config/config.yaml"
_ALLOWED = ("grid", "baseline", "gpu")


def grid_file(options: Mapping[str, Any], config_files: Iterable[Path], tunes: bool = False) -> str:
    """The file named by --config grid=FILE or by --configfile, in place of the default grid and not merged with it.

    Args:
        options: of --config.
        config_files: of --configfile. A job on another machine is started with both, which then name one file.
        tunes: keys of a case and limits are allowed as well, and checked elsewhere.

    Raises:
        InputError: an option that has no effect or is no text, or two files.
    """
    unknown = [key for key in options if key not in _ALLOWED and not tunes]
    if unknown:
        raise InputError(f"--config: {', '.join(unknown)} has no effect; allowed: grid=FILE, baseline=PATH, gpu=NAME")
    for key in ("grid", "baseline"):
        if not isinstance(value := options.get(key, ""), str):
            allowed = "a path that is no number and has no ': ' in it, such as ./10 for 10"
            raise InputError(f"--config: {key}: Snakemake reads {value!r} and no text; allowed: {allowed}")
    named = [options["grid"]] if "grid" in options else []
    files = {str(Path(str(path)).absolute()): str(path) for path in (*config_files, *named)}
    if len(files) > 1:
        raise InputError(f"{' and '.join(files.values())} are {len(files)} grid files; allowed: one")
    return next(iter(files.values()), DEFAULT_GRID)
