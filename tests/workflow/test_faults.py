"""Disks, locks, clocks and hands: each fault ends in a row of the report or one clear line, and loses nothing."""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from attempts import wait_until_gone
from conftest import ROOT, SMALL, DefaultGrid, Project, simulated_work
from wanbench.measure.gpu_slots import own_slot
from wanbench.trace.reader import read_trace

GRID = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
A = next(iter(GRID["cases"]))
_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-euc"]

own_file_system = pytest.mark.skipif(
    bool(subprocess.run([*_NAMESPACE, "mount -t tmpfs none /mnt"], capture_output=True).returncode),
    reason="needs a user namespace, to mount a file system of its own",
)


@pytest.fixture(scope="module")
def project(default_grid: DefaultGrid, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With one measured case, of those of the default grid."""
    project = default_grid.copy(tmp_path_factory.mktemp("faults") / "project")
    shutil.rmtree(project.folder / "results/plots")
    for other in set(GRID["cases"]) - {A}:
        (project.folder / f"results/traces/{other}.json").unlink()
    return project


def write_grid(project: Project, **others: dict[str, Any]) -> None:
    """The measured case, and others."""
    project.write_grid({"defaults": GRID["defaults"], "cases": {A: GRID["cases"][A]} | others})


def test_records_and_locks_are_left_so_that_others_can_read_them(project: Project) -> None:
    """For a dry run of somebody who may not write here: what Snakemake makes for itself alone, and what it deletes."""
    records = [file for file in (project.folder / ".snakemake/metadata").rglob("*") if file.is_file()]
    assert records
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in records)
    assert (project.folder / ".snakemake/locks").is_dir()


def digest(project: Project) -> str:
    return hashlib.sha256((project.folder / f"results/traces/{A}.json").read_bytes()).hexdigest()


def in_namespace(project: Project, script: str) -> None:
    """Run a script in which `run FILE TARGET...` is Snakemake with its output in a file of the project."""
    head = f'run() {{ {sys.executable} -m snakemake --cores 1 "${{@:2}}" > "$1" 2>&1 || echo "code $?" >> "$1"; }}\n'
    environment = os.environ | simulated_work()
    subprocess.run([*_NAMESPACE, head + script], cwd=project.folder, check=True, timeout=1200, env=environment)


def all_started_by(run: psutil.Popen) -> list[psutil.Process]:
    """The processes under Snakemake, once sampler and measured process are among them."""
    words: set[str] = set()
    for process in (found := run.children(recursive=True)):
        with suppress(psutil.Error):
            words |= set(process.cmdline())
    return found if {"wanbench.telemetry.sampler", "wanbench.measure.measured_process"} <= words else []


@own_file_system
def test_a_full_disk_loses_no_trace_and_the_next_run_with_space_completes(project: Project) -> None:
    """One that is nearly full: tests/unit/test_recover.py."""
    write_grid(project, b=SMALL | {"seed": 1})
    before = digest(project)
    in_namespace(
        project,
        """
        mv results measured
        mkdir results
        mount -t tmpfs -o size=120m none results
        cp -a measured/. results
        SIMULATED_WORK='os.system("cat /dev/zero > results/filler")' run full.txt results/traces/b.json
        cp -a results/traces full
        rm results/filler
        run space.txt results/traces/b.json
        cp -a results/traces done
        umount results
        rmdir results
        mv measured results
        """,
    )
    full = project.read("full.txt")
    # Whether the trace finds room depends on what its attempt left behind.
    row = project.folder / "full/b.json"
    if row.exists():
        assert read_trace(row).status == "error"
    else:
        assert "[b] no trace of this attempt: [Errno 28] No space left on device" in full
    assert "code" not in project.read("space.txt").splitlines()[-1]
    for state in ("full", "done"):
        assert hashlib.sha256((project.folder / state / f"{A}.json").read_bytes()).hexdigest() == before
    done = Path(project.folder, "done")
    assert {file.name: read_trace(file).status for file in done.iterdir()} == {f"{A}.json": "ok", "b.json": "ok"}


@own_file_system
def test_a_full_temporary_folder_is_said_in_a_line(project: Project) -> None:
    in_namespace(project, "mount -t tmpfs -o size=64k none /mnt; TMPDIR=/mnt run tmp.txt --dry-run; umount /mnt")
    said = project.read("tmp.txt")
    assert "/mnt: no space left on its disk; allowed: room there, or another TMPDIR" in said
    assert "Traceback" not in said


def test_a_second_snakemake_in_the_folder_is_refused_and_does_not_disturb_the_first(project: Project) -> None:
    write_grid(project, c=SMALL | {"timeout_s": 1})
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "results/traces/c.json"]
    environment = os.environ | simulated_work("time.sleep(600)")
    with own_slot([], 1, pytest.fail), (project.folder / "first.txt").open("w") as output:
        first = subprocess.Popen(command, cwd=project.folder, stdout=output, stderr=output, env=environment)
        while "[c] waits: " not in project.read("first.txt"):
            assert first.poll() is None
            time.sleep(0.02)
        second = project.snakemake("results/traces/c.json")
        assert first.poll() is None
    assert second.code == 1
    assert "Error: Directory cannot be locked." in second.output
    assert "Traceback" not in second.output
    # Its case does not end well.
    assert first.wait(300) == 1
    assert read_trace(project.folder / "results/traces/c.json").status == "timeout"


def test_whenever_snakemake_is_killed_nothing_is_left_and_a_plain_run_completes_the_grid(project: Project) -> None:
    """Kills of the other processes: tests/unit/test_processes.py and test_sampler_process.py."""
    write_grid(project, k=SMALL | {"seed": 2})
    before, trace = digest(project), project.folder / "results/traces/k.json"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "results/traces/k.json"]
    environment = os.environ | simulated_work("time.sleep(600)")
    with (project.folder / "killed.txt").open("w") as output:
        run = psutil.Popen(command, cwd=project.folder, stdout=output, stderr=output, env=environment)
        while not (started := all_started_by(run)):
            assert run.poll() is None
            time.sleep(0.02)
        print("killed after", after_s := random.uniform(0, 1), "s")
        time.sleep(after_s)
        run.kill()
        run.wait()
    wait_until_gone(started)
    assert not trace.exists()
    assert project.snakemake("--unlock").code == 0
    again = project.snakemake("results/traces/k.json", f"results/traces/{A}.json", environment=simulated_work())
    assert again.code == 0, again.output
    assert again.jobs == {("measure", "k")}
    assert read_trace(trace).status == "ok"
    assert digest(project) == before
    results = project.folder / "results"
    assert not list(results.rglob(".*"))
    assert {file.name for file in (results / "attempts").glob("*/*")} == {"run", "trace.json"}


def test_traces_from_the_future_are_named_and_not_measured_again(project: Project) -> None:
    """As after the clock was set back."""
    write_grid(project)
    trace = f"results/traces/{A}.json"
    tomorrow = time.time() + 86400
    os.utime(project.folder / trace, (tomorrow, tomorrow))
    run = project.snakemake("results/tables/excluded.csv", "--forcerun", "tabulate")
    assert run.code == 1
    assert run.jobs == {("tabulate", "")}
    assert re.search(f"than input {trace}.*This could indicate a clock skew", run.output)
