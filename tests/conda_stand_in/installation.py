"""A folder in which Snakemake finds the stand-in as it finds a conda: on the PATH, with its `activate` beside it."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from conda_stand_in.channel import Package, installed_packages, running_python, write_channel

_HERE = Path(__file__).parent


def packages_of_the_project() -> list[Package]:
    """The Python that runs the tests, and what of requirements.txt belongs into environments."""
    pins = re.findall(r"^([\w-]+)==", (_HERE.parents[1] / "requirements.txt").read_text("utf-8"), re.M)
    return [running_python(), *installed_packages(["pip", *(pin for pin in pins if pin != "snakemake")])]


def install_stand_in(folder: Path, packages: Iterable[Package]) -> Path:
    """Install it in a new folder, with its own `conda-forge` as its only channel; the folder to be put on the PATH."""
    bin_ = folder / "bin"
    bin_.mkdir(parents=True)
    shutil.copy(_HERE / "activate", bin_)
    command = [sys.executable, _HERE / "command.py", folder]
    conda = bin_ / "conda"
    conda.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(_HERE.parent))} exec {shlex.join(map(str, command))} "$@"\n'
    )
    conda.chmod(0o755)
    write_channel(folder / "channels" / "conda-forge", packages)
    return bin_
