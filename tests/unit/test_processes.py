"""The supervisor and its processes, real ones: what they leave, and that none outlives what it was started for."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import ANY, patch

import psutil
import pynvml
import pytest

from attempts import attempt_in, left_in, run, signal_to, wait_for, wait_until_gone, when_it_measures
from conftest import ROOT, simulated_gpus, simulated_work, together
from example_cases import tiny_case
from fake_nvml import H200, SECOND
from wanbench.measure import supervisor as supervising
from wanbench.measure.failures import Failures, failures, last_good_trace
from wanbench.measure.finalize import recover
from wanbench.measure.gpu_slots import own_slot
from wanbench.measure.outcome import Outcome
from wanbench.measure.supervisor import _process, _warn_where_it_will_not_fit, supervise
from wanbench.telemetry.gpus import Found, Gpu
from wanbench.trace.reader import read_trace

FIND_GPUS = "wanbench.measure.supervisor.find_gpus"
SCRIPTS = ROOT / "workflow/scripts"


@contextmanager
def given_back_late() -> Iterator[list[int]]:
    """Another case has the machine until 1.5 s after somebody looked for a GPU; when it gave it back."""
    another_case, times_ns = ExitStack(), []

    def give_back() -> None:
        times_ns.append(time.monotonic_ns())
        another_case.close()

    def looked(environment: Mapping[str, str]) -> Found:
        threading.Timer(1.5, give_back).start()
        return Found([], "it fails", answered=False)

    with another_case, patch(FIND_GPUS, looked):
        another_case.enter_context(own_slot([], 1, pytest.fail))
        yield times_ns


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A case that waited, and then was measured to its end, while the clock was set back by days and NVML failed."""
    folder = tmp_path_factory.mktemp("good")
    attempt = attempt_in(folder, tiny_case(steps=10))
    attempt.frames.mkdir(parents=True)
    (attempt.frames / "frame_0800.png").write_bytes(b"of an earlier attempt")
    set_back, spawned_ns = folder / "set_back", []

    def when_it_computes() -> None:
        spawned_ns.append(json.loads(attempt.job.read_text())["spawned_ns"])
        set_back.touch()

    clock = {"PYTHONPATH": str(ROOT / "tests/simulated_clock"), "SIMULATED_CLOCK_SET_BACK": str(set_back)}
    environment = together(clock, simulated_gpus(H200)) | {"OMP_NUM_THREADS": "7"}
    environment["SIMULATED_DRIVER_FAILS"] = str(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with given_back_late() as freed_ns, patch.dict(os.environ, environment):
        when_it_measures(folder, when_it_computes)
        began_s = time.monotonic()
        assert supervise(attempt, None).status == "ok"
        lasted_s = time.monotonic() - began_s
        look = [sys.executable, "-c", "import datetime, time; print(time.time(), datetime.datetime.now().timestamp())"]
        seen = subprocess.check_output(look, text=True)
    assert all(time.time() - float(now_s) > 2 * 86400 for now_s in seen.split())
    times = {"lasted_s": lasted_s, "freed_ns": freed_ns[0], "spawned_ns": spawned_ns[0]}
    return SimpleNamespace(folder=folder, trace=read_trace(attempt.trace), **times)


def test_looking_and_waiting_for_a_gpu_are_no_part_of_the_process_that_is_measured(good: SimpleNamespace) -> None:
    assert good.spawned_ns > good.freed_ns
    line = "[tiny] waits: another case runs, and without a GPU one runs at a time\n"
    assert (good.folder / "log").read_text().count(line) == 1


def test_a_case_that_runs_on_the_cpu_since_nvml_does_not_answer_says_so(good: SimpleNamespace) -> None:
    assert good.trace.environment["device"] == "cpu"
    assert "mismatch" in good.trace.environment["gpu_telemetry"]["error"]
    assert "[tiny] warning: no GPU is used: it fails" in (good.folder / "log").read_text()


def test_it_has_all_cores_that_it_may_use_whatever_snakemake_sets(good: SimpleNamespace) -> None:
    assert good.trace.environment["cpu_threads_torch"] == len(os.sched_getaffinity(0))


def test_the_video_is_kept_after_total_execution_and_the_one_before_is_removed(good: SimpleNamespace) -> None:
    kept, folder = good.trace.kept, good.folder / "results/frames/tiny"
    assert kept["frames"] == [0]
    assert {file.name for file in folder.iterdir()} == {"kept.json", "latents.npy", "frame_0000.png"}
    total = next(stage for stage in good.trace.stages if stage.name == "Total_Execution")
    assert total.start_s + total.extent_s + kept["time_s"] <= good.trace.total_duration_s


def test_a_clock_that_is_set_back_changes_no_time(good: SimpleNamespace) -> None:
    assert "unaccounted_time" not in good.trace.quality["failed_checks"]
    assert 0 < good.trace.total_duration_s < good.lasted_s
    stages = good.trace.stages
    assert all(0 <= stage.start_s <= stage.start_s + stage.extent_s < good.lasted_s for stage in stages)


def test_a_failed_attempt_leaves_the_last_good_trace(good: SimpleNamespace) -> None:
    kept = last_good_trace(good.folder / "results", "tiny")
    assert read_trace(kept).stages == good.trace.stages
    failed, trace = run(tiny_case(timeout_s=0.5), good.folder)
    assert failed == Outcome("timeout", "ended after timeout_s = 0.5 s")
    assert trace.error["stage_reached"] == "Process_Startup"
    assert trace.total_duration_s >= 0.5
    assert read_trace(kept).stages == good.trace.stages
    assert failures(good.folder / "results") == {"tiny": Failures(1, "timeout", failed.message, ANY)}


def test_a_case_ends_before_its_job_does_whose_time_it_also_spends_on_waiting(tmp_path: Path) -> None:
    attempt = attempt_in(tmp_path, tiny_case(timeout_s=100))
    with given_back_late() as freed_ns:
        outcome = supervise(attempt, None, job_limit_s=1)
    assert freed_ns
    # Ended before it could write down that it had begun.
    assert read_trace(attempt.trace).error["stage_reached"] == "Process_Startup"
    assert outcome.status == "timeout"
    assert outcome.message.startswith("ended after 0 s, as its job had no more time; timeout_s = 100 s allows more")


def test_a_killed_process_leaves_its_stages_and_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "_SAMPLER_ENDS_WITHIN_S", 0.0)
    kill = partial(signal_to, "wanbench.measure.measured_process", signal.SIGKILL)
    when_it_measures(tmp_path, kill, samples=5)
    outcome, trace = run(tiny_case(), tmp_path, simulated_work("time.sleep(600)"))
    assert outcome.status == trace.status == "killed"
    assert "SIGKILL" in trace.error["message"]
    assert (trace.error["stage_reached"], trace.applied) == ("Step_0_Inference", None)
    assert trace.quality["samples"] > 0
    stages = {stage.name: stage for stage in trace.stages}
    assert stages["Total_Execution"].measures["interrupted"]
    assert stages["Step_0_Inference"].measures["sys_mem_bytes"] > 0
    assert failures(tmp_path / "results") == {"tiny": Failures(1, "killed", outcome.message, ANY)}


# Each step has fifteen readings; after the first, the GPUs are lost.
LOST_AFTER_A_STEP = """
readings = lambda: attempt.samples.read_text().count("sys_mem_bytes") if attempt.samples.exists() else 0
enough = readings() + 15
while readings() < enough:
    time.sleep(0.02)
Path(os.environ["SIMULATED_GPUS_LOST"]).touch()
"""


def test_the_gpu_that_was_taken_is_sampled_until_it_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FIND_GPUS, lambda environment: Found([Gpu(SECOND, 150_754_820_096)]))
    lost = {"SIMULATED_GPUS_LOST": str(tmp_path / "lost")}
    simulated = together(simulated_gpus(H200, SECOND), simulated_work(LOST_AFTER_A_STEP)) | lost
    outcome, trace = run(tiny_case(steps=2), tmp_path, simulated)
    assert outcome.status == trace.status == "ok"
    telemetry = trace.environment["gpu_telemetry"]
    assert (telemetry["gpus"], telemetry["driver"]) == ([SECOND], "580.159.04")
    assert "sampling_gaps" in trace.quality["failed_checks"]
    stages = {stage.name: stage.measures for stage in trace.stages}
    assert stages["Step_0_Inference"]["power_w"] > 0
    assert stages["Step_1_Inference"]["sys_mem_bytes"] > 0
    assert {"power_w", "energy_j", "sm_activity_pct"}.isdisjoint(stages["Step_1_Inference"])
    # Nothing ran that would show them, and none are claimed.
    assert telemetry["gpm_counter_refresh_found"] is False
    assert {"energy_j", "sm_activity_pct"}.isdisjoint(stages["Total_Execution"])


def test_a_case_that_cannot_fit_is_warned_of_before_it_runs() -> None:
    full = tiny_case(scale="full", size="1280*704", frames=121, dtype="bfloat16")
    logged: list[str] = []
    for gpus in ([], [Gpu("GPU-0", 80_000_000_000)], [Gpu("GPU-0", 20_000_000_000)]):
        assert logged == []
        _warn_where_it_will_not_fit(full, gpus, logged.append)
    (line,) = logged
    assert "about 46.7 GB are needed, and this GPU has 20.0 GB" in line


def test_sampler_and_measuring_processes_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    attempt = attempt_in(tmp_path, tiny_case(gpus=2))
    code = "import sys; from wanbench.measure.supervisor import *\nsupervise(Attempt.from_json(sys.argv[1]), None)"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", code, attempt.to_json()]
    supervisor = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    wait_for(lambda: attempt.samples.exists() and len(attempt.samples.read_text().splitlines()) > 5)
    children = psutil.Process(supervisor.pid).children(recursive=True)
    assert len(children) == 3
    # The processes that would compute on the GPUs keep them from others until they are gone themselves.
    holding = [child for child in children if any("machine.lock" in file.path for file in child.open_files())]
    commands = [child.cmdline()[5:8:2] for child in holding]
    assert commands == [["wanbench.measure.measured_process", rank] for rank in "01"]
    supervisor.kill()
    supervisor.wait()
    wait_until_gone(children)
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
    arguments = [str(gone.pid), "0", str(tmp_path / "job.json")]
    command = [sys.executable, "-m", "wanbench.measure.measured_process", *arguments]
    assert subprocess.run(command, cwd=SCRIPTS, timeout=300).returncode == -signal.SIGKILL


def test_what_a_finished_process_left_running_is_ended(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, file=open(sys.argv[-1], 'w'))"
    (tmp_path / "leaves.py").write_text(code)
    with _process("leaves", [tmp_path / "pid"], tmp_path / "log", {"PYTHONPATH": str(tmp_path)}) as process:
        assert process.wait(300) == 0
        left = psutil.Process(int((tmp_path / "pid").read_text()))
        assert left.is_running()
    wait_for(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE)


def test_a_process_starts_from_any_path_with_its_own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
