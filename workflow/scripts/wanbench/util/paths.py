"""Files and folders that grid files and commands name."""

from pathlib import Path

PROJECT = Path(__file__).parents[4]


def named_path(name: str | Path) -> Path:
    """Where a named file or folder lies: seen from the working directory, or else from the project's folder.

    Snakemake's `--directory` makes results in another folder than the project's, where the project's own files, such as
    the image of its grids, are to be found all the same.
    """
    named = Path(name).expanduser()
    in_project = PROJECT / named
    return in_project if in_project.exists() and not named.exists() else named
