"""Who removes the lock of a killed Snakemake, and who must not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT


def begin(folder: Path, *, jobs_run_here: bool = True, host: str = "here") -> subprocess.Popen:
    """A run that has come as far as its rules, and lives until it is killed."""
    code = (
        "import platform, sys, time; from pathlib import Path\n"
        f"platform.node = lambda: {host!r}\n"
        "from wanbench.util.stale_lock import free_of_killed_runs\n"
        f"free_of_killed_runs(Path({str(folder)!r}), {jobs_run_here})\n"
        "print(flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT / "workflow/scripts", stdout=subprocess.PIPE)
    run.stdout.readline()
    return run


def kill(run: subprocess.Popen) -> None:
    run.kill()
    run.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".snakemake"


def lock(folder: Path) -> Path:
    (folder / "locks").mkdir()
    file = folder / "locks/0.output.lock"
    file.touch()
    return file


def test_the_lock_of_a_killed_run_is_removed_and_that_of_a_living_one_is_not(folder: Path) -> None:
    first = begin(folder)
    held = lock(folder)
    kill(begin(folder))
    assert held.exists()
    kill(first)
    kill(begin(folder))
    assert not held.exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"jobs_run_here": False}, {}),
        ({}, {"jobs_run_here": False}),
        ({"host": "there"}, {}),
    ],
    ids=["jobs on a cluster may still run", "it starts jobs on a cluster", "the first was on another machine"],
)
def test_where_more_than_the_killed_run_may_live_the_lock_stays(folder: Path, first: dict, second: dict) -> None:
    kill(begin(folder, **first))
    first_run = begin(folder, **first)
    held = lock(folder)
    kill(first_run)
    kill(begin(folder, **second))
    assert held.exists()


def test_a_run_on_a_cluster_beside_a_local_one_keeps_the_lock(folder: Path) -> None:
    local = begin(folder)
    held = lock(folder)
    kill(begin(folder, jobs_run_here=False))
    kill(local)
    kill(begin(folder))
    assert held.exists()


def test_a_folder_that_cannot_be_written_to_is_left_to_snakemake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = begin(tmp_path / "file/.snakemake")
    assert run.poll() is None
    kill(run)
    assert os.listdir(tmp_path) == ["file"]
