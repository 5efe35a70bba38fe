"""Who ends with whom: no process outlives what it was started for."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from attempts import attempt_in, left_in, wait_for
from conftest import ROOT
from example_cases import tiny_case
from wanbench.measure import supervisor as supervising
from wanbench.measure.failures import failures
from wanbench.measure.finalize import recover
from wanbench.measure.gpu_slots import own_slot
from wanbench.measure.supervisor import _process
from wanbench.trace.reader import read_trace

SCRIPTS = ROOT / "workflow/scripts"


def test_sampler_and_measuring_processes_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    gpus = 2
    attempt = attempt_in(tmp_path, tiny_case(gpus=gpus))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from wanbench.measure.attempt import Attempt\n"
        "from wanbench.measure.supervisor import supervise\n"
        "supervise(Attempt.from_json(sys.argv[2]), None)\n"
    )
    command = [sys.executable, "-c", code, str(SCRIPTS), attempt.to_json()]
    supervisor = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: attempt.samples.exists() and len(attempt.samples.read_text().splitlines()) > 5)
    children = psutil.Process(supervisor.pid).children(recursive=True)
    assert len(children) == 1 + gpus
    # The processes that would compute on the GPUs keep them from others until they are gone themselves.
    holding = [child for child in children if any("machine.lock" in file.path for file in child.open_files())]
    commands = [child.cmdline() for child in holding]
    assert [(command[5], command[7]) for command in commands] == [
        ("wanbench.measure.measured_process", str(rank)) for rank in range(gpus)
    ]
    supervisor.kill()
    supervisor.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    with own_slot([], 1, pytest.fail):
        pass

    # What it leaves is enough for a trace, and the log that Snakemake removes before it tries again is still there.
    (tmp_path / "log").unlink()
    recover(attempt)
    trace = read_trace(attempt.trace)
    assert trace.status == "killed"
    assert trace.quality["samples"] > 0
    assert trace.total_duration_s > 0.3
    assert "Process_Startup begins" in attempt.log.read_text()
    assert failures(attempt.results)["tiny"].failed_attempts == 1
    assert left_in(attempt) == {"run", "trace.json"}


def test_a_process_whose_supervisor_died_before_it_could_ask_ends_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    command = [
        sys.executable,
        "-m",
        "wanbench.measure.measured_process",
        str(gone.pid),
        "0",
        str(tmp_path / "job.json"),
    ]
    assert subprocess.run(command, cwd=SCRIPTS, timeout=300).returncode == -signal.SIGKILL


def test_what_a_finished_process_left_running_is_ended(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, file=open(sys.argv[-1], 'w'))"
    (tmp_path / "leaves.py").write_text(code)
    with _process("leaves", [tmp_path / "pid"], tmp_path / "log", {"PYTHONPATH": str(tmp_path)}) as process:
        assert process.wait(300) == 0
        left = psutil.Process(int((tmp_path / "pid").read_text()))
        assert left.is_running()
    wait_for(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)


def test_a_process_is_started_from_a_path_with_a_colon_and_takes_no_module_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / 'it\'s: "a", $b' / "package"
    package.mkdir(parents=True)
    (package / "says.py").write_text("import random, sys; print(*sys.argv[2:], sys.flags.optimize, sys.warnoptions)")
    (tmp_path / "random.py").write_text("raise SystemExit(3)")
    # Without docstrings transformers cannot be imported.
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(supervising, "_PACKAGE_ROOT", package)
    with _process("says", ["1", "b c"], tmp_path / "log", {}) as process:
        assert process.wait(300) == 0
    assert (tmp_path / "log").read_text() == "1 b c 0 []\n"


def test_a_job_ends_with_its_snakemake_though_a_shell_lives_between_them() -> None:
    """On every Python: conda-forge's has no pidfd_open."""
    snakemake = subprocess.Popen(["sleep", "60"])
    code = (
        "import os; vars(os).pop('pidfd_open', None)\n"
        f"import time, wanbench.util.lifeline as l; l.end_with({snakemake.pid}); print(flush=True); time.sleep(60)"
    )
    job = subprocess.Popen([sys.executable, "-c", code], cwd=SCRIPTS, stdout=subprocess.PIPE)
    job.stdout.readline()
    time.sleep(1)
    assert job.poll() is None
    snakemake.kill()
    # Not waited for: one that nobody has asked for its exit code yet is gone all the same.
    assert job.wait(60) == -signal.SIGTERM
    snakemake.wait()
    late = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, timeout=300)
    assert late.returncode == -signal.SIGTERM
