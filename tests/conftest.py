"""Fixtures that more than one test file uses."""

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

os.environ["HF_HUB_OFFLINE"] = "1"
# Hundreds of processes import the same modules: none needs to compile what another one has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Test processes share the cores: each keeps to its own, and so does what it starts.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
if hasattr(os, "sched_setaffinity") and "PYTEST_XDIST_WORKER" in os.environ:
    _CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_CORES[_WORKER % len(_CORES)]})

ROOT = Path(__file__).parents[1]
_PARTS = ("Snakefile", "config", "envs", "profiles", "workflow")


@pytest.fixture(autouse=True, scope="session")
def _temporary_directory_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The locks of cases lie there: cases of this process and of one beside it must not wait for each other."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("tmp"))


def simulated_gpus(*uuids: str) -> dict[str, str]:
    """Environment of processes on a machine whose GPUs are these, see tests/simulated_driver."""
    path = [str(ROOT / "tests/simulated_driver"), str(ROOT / "tests")]
    return {"SIMULATED_GPUS": ",".join(uuids), "PYTHONPATH": os.pathsep.join(path)}


@dataclass(frozen=True)
class Run:
    """A finished Snakemake process."""

    code: int
    output: str

    @property
    def jobs(self) -> set[tuple[str, str]]:
        """Rule and case (empty for rules without one) of every job that ran or would run, but for `all`."""
        blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", self.output, re.M)
        found = set()
        for rule, body in blocks:
            case = re.search(r"wildcards: (?:.*, )?case=(\S+)", body)
            found.add((rule, case[1] if case else ""))
        return {job for job in found if job[0] != "all"}


@dataclass(frozen=True)
class Project:
    """A copy of the project in a folder of its own."""

    folder: Path

    def snakemake(self, *arguments: str, environment: dict[str, str] | None = None) -> Run:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ends a hang; on a busy machine a run takes minutes.
            timeout=1200,
            env=os.environ | (environment or {}),
        )
        return Run(done.returncode, done.stdout)

    def plan(self) -> set[tuple[str, str]]:
        """What a run would do now."""
        run = self.snakemake("--dry-run")
        assert run.code == 0, run.output
        return run.jobs

    def write_grid(self, grid: dict) -> None:
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump(grid, allow_unicode=True), "utf-8")

    def read(self, path: str) -> str:
        return (self.folder / path).read_text("utf-8")


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[], Project]:
    def make() -> Project:
        return copy_project(tmp_path / "project")

    return make


def copy_project(folder: Path) -> Project:
    folder.mkdir(parents=True)
    # Compiled once and copied along: it is valid for a copy of the same time.
    compileall.compile_dir(ROOT / "workflow/scripts", quiet=1)
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part)
        else:
            shutil.copy(ROOT / part, folder / part)
    return Project(folder)


# The smallest cases that run every stage; one takes about five seconds, nearly all of it imports.
SMALL = {"model": "TI2V-5B", "size": "64*64", "frames": 5, "steps": 3}
SMALL_DEFAULTS = {"scale": "tiny", "unofficial_size": True, "dtype": "float32", "timeout_s": 600}


@dataclass(frozen=True)
class DefaultGrid:
    """The project after one plain run of Snakemake, for all test files. Not to be changed: copy it."""

    project: Project
    output: str

    def copy(self, folder: Path) -> Project:
        shutil.copytree(self.project.folder, folder, symlinks=True)
        return Project(folder)


@pytest.fixture(scope="session")
def default_grid(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> DefaultGrid:
    """Of the test processes, the first that needs it runs it, and the others wait."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "default_grid"
    output, project = shared / "output.txt", Project(shared / "project")
    with FileLock(f"{shared}.lock"):
        if not output.exists():
            run = copy_project(project.folder).snakemake()
            assert run.code == 0, run.output
            output.write_text(run.output)
    return DefaultGrid(project, output.read_text())


@pytest.fixture(scope="module")
def measured(default_grid: DefaultGrid, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the measured default grid, for one test file."""
    return default_grid.copy(tmp_path_factory.mktemp("measured") / "project")
