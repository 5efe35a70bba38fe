"""Fixtures that more than one test file uses."""

import compileall
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

os.environ["HF_HUB_OFFLINE"] = "1"
# Threads of torch that wait for each other would take the cores from processes that have something to do: seven times
# the time of a core was seen where other processes ran.
os.environ["GOMP_SPINCOUNT"] = "0"
# Hundreds of processes import the same modules: none needs to compile what another one has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Test processes share the cores: each keeps to its own, and so does what it starts.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
if hasattr(os, "sched_setaffinity") and "PYTEST_XDIST_WORKER" in os.environ:
    _CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {_CORES[_WORKER % len(_CORES)]})

ROOT = Path(__file__).parents[1]
# On a busy machine a run takes minutes.
_ENDS_A_HANG_S = 1200
_PARTS = ("Snakefile", "config", "envs", "profiles", "workflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One test process makes the default grid; other files that need it come late, so that none waits for it."""
    need_it = {item.path for item in items if "default_grid" in getattr(item, "fixturenames", ())}

    def turn(item: pytest.Item) -> int:
        if item.path.parent.name != "workflow":
            return 3
        if item.path not in need_it:
            return 1
        return 0 if item.path.name == "test_default_grid.py" else 2

    items.sort(key=turn)


@pytest.fixture(autouse=True, scope="session")
def _temporary_directory_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The locks of cases lie there: cases of this process and of one beside it must not wait for each other."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("tmp"))


def simulated_work(code: str = "") -> dict[str, str]:
    """Environment of cases that have no model, see tests/simulated_work."""
    return {"SIMULATED_WORK": code, "PYTHONPATH": str(ROOT / "tests/simulated_work")}


def simulated_gpus(*uuids: str) -> dict[str, str]:
    """Environment of processes on a machine whose GPUs are these, see tests/simulated_driver."""
    path = [str(ROOT / "tests/simulated_driver"), str(ROOT / "tests")]
    return {"SIMULATED_GPUS": ",".join(uuids), "PYTHONPATH": os.pathsep.join(path)}


def together(*simulations: dict[str, str]) -> dict[str, str]:
    """One environment of several."""
    path = os.pathsep.join(each["PYTHONPATH"] for each in simulations)
    return {name: value for each in simulations for name, value in each.items()} | {"PYTHONPATH": path}


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


class _Snakemakes:
    """Runs of Snakemake, each a fork of a process that has imported it: imports are most of what a plan costs."""

    _CODE = """if True:
        import json, os, sys, tempfile
        import jsonschema, nbformat, pandas, psutil, pynvml, smart_open, yaml
        import snakemake.cli, snakemake.persistence, snakemake.report, snakemake.storage
        snakemake.cli.get_argument_parser()
        for line in sys.stdin:
            order = json.loads(line)
            if not (pid := os.fork()):
                break
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        else:
            sys.exit()
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        tempfile.tempdir = None
        for fd, name, how in ((0, os.devnull, os.O_RDONLY), (1, order["output"], os.O_WRONLY | os.O_APPEND)):
            os.dup2(os.open(name, how), fd)
        os.dup2(1, 2)
        sys.path[0] = order["folder"]
        sys.argv[1:] = order["arguments"]
        snakemake.cli.main()
        """

    def __init__(self) -> None:
        command, pipe = [sys.executable, "-c", self._CODE], subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)

    def run(self, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> Run:
        order = {"folder": str(folder), "arguments": arguments, "environment": environment}
        timer = threading.Timer(_ENDS_A_HANG_S, os.killpg, (self._process.pid, signal.SIGKILL))
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
            timer.start()
            print(json.dumps(order | {"output": output.name}), file=self._process.stdin, flush=True)
            code = self._process.stdout.readline()
            timer.cancel()
            return Run(int(code), output.read())


_snakemakes = cache(_Snakemakes)


@dataclass(frozen=True)
class Project:
    """A copy of the project in a folder of its own."""

    folder: Path

    def snakemake(self, *arguments: str, environment: dict[str, str] | None = None) -> Run:
        """Run it. Where it needs other modules itself it is a new process, else a fork of one that imported it."""
        arguments = ("--cores", "1", *arguments)
        environment = os.environ | (environment or {})
        if environment.get("PYTHONPATH") in (os.environ.get("PYTHONPATH"), simulated_work()["PYTHONPATH"]):
            return _snakemakes().run(self.folder, arguments, environment)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ENDS_A_HANG_S,
            env=environment,
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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


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
