"""Prove that a job runs in the conda environment that it was given, and on nothing else.

Two errors would go unseen. Snakemake's command goes on with the host's Python when `source activate` fails; and the
lines that it puts before a script append the host's packages to `sys.path`, where a package that the environment lacks
is then found.
"""

import os
import sys
from pathlib import Path

CONDA, NONE = "conda", "none"

_PACKAGE_ROOT = Path(__file__).parents[2]
_PROJECT = _PACKAGE_ROOT.parents[1]


def enter_environment(env_file: str, software_deployment: str) -> str | None:
    """Hold this process, and what it starts, to the environment of an env file.

    To be called before anything but the standard library is imported: from here on a package that the environment
    lacks cannot be imported.

    Args:
        env_file: path in the project, such as `envs/report.yaml`.
        software_deployment: `conda` where Snakemake was told to use conda, else `none`.

    Returns:
        Name of the environment's folder, a hash that Snakemake gave it; None without conda, where the environment is
        whatever runs Snakemake.

    Raises:
        SystemExit: this Python is not that of an environment made from the env file as it is now.
    """
    if software_deployment == NONE:
        return None
    prefix = Path(sys.prefix)
    # Snakemake lays a copy of the file that an environment is made from beside it.
    made_from = prefix.with_name(f"{prefix.name}.yaml")
    if not made_from.exists() or made_from.read_bytes() != (_PROJECT / env_file).read_bytes():
        sys.exit(
            f"{env_file}: this job was to run in the conda environment of this file, and runs in {prefix}, which was "
            "not made from it: its activation failed, or the file was changed meanwhile. Nothing was done."
        )
    sys.path[:] = [entry for entry in sys.path if _belongs(Path(entry), prefix)]
    os.environ.pop("PYTHONPATH", None)
    os.environ["PYTHONNOUSERSITE"] = "1"
    return prefix.name


def _belongs(entry: Path, prefix: Path) -> bool:
    return entry == _PACKAGE_ROOT or entry.is_relative_to(prefix)
