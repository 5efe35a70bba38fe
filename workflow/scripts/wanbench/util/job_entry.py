"""What every script does before anything else: it proves its environment, and opens its log.

Two errors would go unseen. Snakemake's command goes on with the host's Python when `source activate` fails; and the
lines that it puts before a script append the host's packages to `sys.path`, where a package that the environment lacks
is then found.
"""

import errno
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from wanbench.util.lifeline import end_with
from wanbench.util.paths import PROJECT
from wanbench.util.redaction import redacted_message
from wanbench.util.text import visible

CONDA, NONE = "conda", "none"

_DISK_TAKES_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SCRIPTS = Path(__file__).parents[2]
# A notebook has its shells draw into it, by a package that the report's environment need not have.
_OF_NOTEBOOKS = ("MPLBACKEND", "MATPLOTLIBRC")


def enter_job(env_file: str, config: Mapping[str, Any], log: str | None = None) -> str | None:
    """Hold this process to its environment, and to the life of the Snakemake that started it.

    A job that outlived a killed Snakemake would write the same files as the next run's. What is written to standard
    error goes to the rule's log, if one is given. Returns and raises as `enter_environment`.
    """
    # Where it was started with closed streams, Python has none, and the next file to be opened would take their place.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))
    sys.excepthook = _end_of_job
    end_with(config["snakemake_pid"])
    for name in _OF_NOTEBOOKS:
        os.environ.pop(name, None)
    conda_env = enter_environment(env_file, config["software_deployment"])
    if log is not None:
        sys.stderr = RuleLog(log)
    return conda_env


def _end_of_job(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, OSError) or error.errno not in _DISK_TAKES_NO_MORE:
        return sys.__excepthook__(kind, error, trace)
    line = f"{error.strerror}: make room where results and logs lie, or run with --directory FOLDER on another disk\n"
    try:
        sys.stderr.write(line)
    except OSError:
        # The log lies there as well.
        sys.__stderr__.write(line)


def enter_environment(env_file: str, software_deployment: str) -> str | None:
    """Hold this process, and what it starts, to the environment of an env file: no package that it lacks is imported.

    To be called before anything but the standard library is imported.

    Returns:
        Name of the environment's folder, a hash that Snakemake gave it; None without conda.

    Raises:
        SystemExit: this Python is not that of an environment made from the env file as it is now.
    """
    if software_deployment == NONE:
        return None
    prefix = Path(sys.prefix)
    # Snakemake lays a copy of the file that an environment is made from beside it.
    made_from = prefix.with_name(f"{prefix.name}.yaml")
    if not made_from.exists() or made_from.read_bytes() != (PROJECT / env_file).read_bytes():
        sys.exit(
            f"{env_file}: this job was to run in the conda environment of this file, and runs in {prefix}, which was "
            "not made from it: its activation failed, or the file was changed meanwhile. Nothing was done."
        )
    sys.path[:] = [entry for entry in sys.path if Path(entry) == _SCRIPTS or Path(entry).is_relative_to(prefix)]
    os.environ.pop("PYTHONPATH", None)
    os.environ["PYTHONNOUSERSITE"] = "1"
    return prefix.name


class RuleLog(io.TextIOBase):
    """A log to write to as to standard error, without secrets and names, and without what acts on a terminal."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("w", encoding="utf-8", buffering=1)

    def write(self, text: str) -> int:
        self._file.write(visible(redacted_message(text)))
        return len(text)
