"""The supervisor and the measured process: real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest.mock import ANY

import pynvml
import pytest

from attempts import attempt_in, run, signal_to, when_it_measures
from conftest import ROOT, simulated_gpus
from example_cases import tiny_case
from fake_nvml import H200, SECOND
from wanbench.measure.failures import Failures, failures, last_good_trace
from wanbench.measure.gpu_slots import own_slot
from wanbench.measure.job import Job
from wanbench.measure.outcome import Outcome, TimeLimit, time_limit
from wanbench.measure.supervisor import _warn_where_it_will_not_fit, supervise
from wanbench.telemetry.gpus import Found, Gpu
from wanbench.trace.reader import read_counters, read_trace
from wanbench.util import redaction

USABLE = "wanbench.measure.supervisor.usable_gpus"


@pytest.fixture
def freed_ns(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Another case has the machine until 1.5 s after somebody looked for a GPU; when it gave it back."""
    times_ns: list[int] = []

    def give_back() -> None:
        times_ns.append(time.monotonic_ns())
        another_case.close()

    def looked(environment: Mapping[str, str]) -> list[Gpu]:
        threading.Timer(1.5, give_back).start()
        return []

    monkeypatch.setattr(USABLE, looked)
    with ExitStack() as another_case:
        another_case.enter_context(own_slot([], 1, pytest.fail))
        yield times_ns


def test_a_case_ends_before_its_job_does_whose_time_it_also_spends_on_waiting(
    tmp_path: Path, freed_ns: list[int]
) -> None:
    outcome = supervise(attempt_in(tmp_path, tiny_case(timeout_s=100)), None, job_limit_s=1)
    assert freed_ns
    assert outcome.status == "timeout"
    assert outcome.message.startswith("ended after 0 s, as its job had no more time; timeout_s = 100 s allows more")


def test_the_shorter_limit_of_case_and_job_counts() -> None:
    assert time_limit(100, 100) == time_limit(100, 200) == time_limit(100, None) == TimeLimit(100, "timeout_s = 100 s")
    assert time_limit(100, 99.5).time_s == 99.5


def test_a_killed_process_leaves_a_trace_with_its_stages_and_samples_and_the_last_good_trace(tmp_path: Path) -> None:
    kill = partial(signal_to, "wanbench.measure.measured_process", signal.SIGKILL)
    when_it_measures(tmp_path, kill, reached="Total_Execution")
    outcome, trace = run(tiny_case(steps=1000), tmp_path)
    assert outcome.status == trace.status == "killed"
    assert "SIGKILL" in trace.error["message"]
    assert trace.error["stage_reached"] is not None
    assert trace.applied is None
    stages = {stage.name: stage for stage in trace.stages}
    assert stages["Total_Execution"].measures["interrupted"]
    assert stages["Process_Startup"].measures["sys_mem_bytes"] > 0
    assert failures(tmp_path / "results") == {"tiny": Failures(1, "killed", outcome.message, ANY)}

    good, good_trace = run(tiny_case(), tmp_path)
    assert good.status == "ok"
    kept = last_good_trace(tmp_path / "results", "tiny")
    assert read_trace(kept).stages == good_trace.stages
    failed, trace = run(tiny_case(timeout_s=0.5), tmp_path)
    assert failed == Outcome("timeout", "ended after timeout_s = 0.5 s")
    assert trace.error["stage_reached"] == "Process_Startup"
    assert trace.total_duration_s >= 0.5
    assert read_trace(kept).stages == good_trace.stages
    assert failures(tmp_path / "results") == {"tiny": Failures(2, "timeout", failed.message, ANY)}


def test_a_gpu_that_is_lost_in_the_middle_leaves_absent_values_and_a_failed_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = tmp_path / "lost"
    monkeypatch.setattr(USABLE, lambda environment: [Gpu(H200, 150_754_820_096)])
    for name, value in (simulated_gpus(H200) | {"SIMULATED_GPUS_LOST": str(lost)}).items():
        monkeypatch.setenv(name, value)
    when_it_measures(tmp_path, lost.touch)
    outcome, trace = run(tiny_case(steps=30), tmp_path)
    assert outcome.status == trace.status == "ok"
    assert "sampling_gaps" in trace.quality["failed_checks"]
    stages = {stage.name: stage.measures for stage in trace.stages}
    assert stages["Process_Startup"]["power_w"] > 0
    assert stages["Total_Execution"]["samples"] > 0
    assert {"power_w", "energy_j", "sm_activity_pct"}.isdisjoint(stages["VAE_Decoding"])
    # Nothing ran that would show them, and none are claimed.
    assert trace.environment["gpu_telemetry"]["gpm_counter_refresh_found"] is False
    assert {"energy_j", "sm_activity_pct"}.isdisjoint(stages["Total_Execution"])


def test_a_clock_that_is_set_back_changes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_back = tmp_path / "set_back"
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests/simulated_clock"))
    monkeypatch.setenv("SIMULATED_CLOCK_SET_BACK", str(set_back))
    when_it_measures(tmp_path, set_back.touch)
    began_s = time.monotonic()
    outcome, trace = run(tiny_case(steps=30), tmp_path)
    lasted_s = time.monotonic() - began_s
    clock = [sys.executable, "-c", "import datetime, time; print(time.time(), datetime.datetime.now().timestamp())"]
    seen = subprocess.run(clock, capture_output=True, text=True, check=True)
    assert all(time.time() - float(now_s) > 2 * 86400 for now_s in seen.stdout.split())
    assert outcome.status == "ok"
    assert "unaccounted_time" not in trace.quality["failed_checks"]
    assert 0 < trace.total_duration_s < lasted_s
    assert all(0 <= stage.start_s <= stage.start_s + stage.extent_s < lasted_s for stage in trace.stages)


def test_the_measured_process_keeps_the_python_path_of_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters provide packages through it; seen on a GPU machine whose diffusers was found nowhere else."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/diffusers.py").write_text("raise RuntimeError('found on the path of the user')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    outcome, _ = run(tiny_case(), tmp_path)
    assert outcome.message == "found on the path of the user"


def test_looking_and_waiting_for_a_gpu_are_no_part_of_the_process_that_is_measured(
    tmp_path: Path, freed_ns: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    attempt = attempt_in(tmp_path, tiny_case())
    spawned_ns: list[int] = []
    when_it_measures(tmp_path, lambda: spawned_ns.append(Job.from_json(attempt.job.read_text()).spawned_ns))
    assert supervise(attempt, None).status == "ok"
    assert spawned_ns[0] > freed_ns[0]
    line = "[tiny] waits: another case runs, and without a GPU one runs at a time\n"
    assert (tmp_path / "log").read_text().count(line) == 1
    assert capfd.readouterr().err.count(line) == 1


def test_a_case_that_runs_on_the_cpu_since_nvml_does_not_answer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wanbench.measure.supervisor.find_gpus", lambda environment: Found([], "it fails", False))
    monkeypatch.setattr(USABLE, lambda environment: [])
    mismatch = {"SIMULATED_DRIVER_FAILS": str(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)}
    for name, value in (simulated_gpus(H200) | mismatch).items():
        monkeypatch.setenv(name, value)
    outcome, trace = run(tiny_case(), tmp_path)
    assert (outcome.status, trace.environment["device"]) == ("ok", "cpu")
    assert "mismatch" in trace.environment["gpu_telemetry"]["error"]
    assert "[tiny] warning: no GPU is used: it fails" in (tmp_path / "log").read_text()


def test_the_gpu_that_was_taken_is_the_one_that_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(USABLE, lambda environment: [Gpu(SECOND, 150_754_820_096)])
    for name, value in simulated_gpus(H200, SECOND).items():
        monkeypatch.setenv(name, value)
    outcome, trace = run(tiny_case(), tmp_path)
    assert outcome.status == "ok"
    assert trace.environment["gpu_telemetry"]["gpus"] == [SECOND]
    assert trace.environment["gpu_telemetry"]["driver"] == "580.159.04"


@pytest.mark.parametrize(
    ("gpus", "warnings"), [([Gpu("GPU-0", 20_000_000_000)], 1), ([Gpu("GPU-0", 80_000_000_000)], 0), ([], 0)]
)
def test_a_case_that_cannot_fit_is_warned_of_before_it_runs(gpus: list[Gpu], warnings: int) -> None:
    logged: list[str] = []
    full = tiny_case(scale="full", size="1280*704", frames=121, dtype="bfloat16")
    _warn_where_it_will_not_fit(full, gpus, logged.append)
    assert len(logged) == warnings
    assert all("about 46.7 GB are needed, and this GPU has 20.0 GB" in line for line in logged)


def test_out_of_memory_is_told_from_other_errors_and_sampled_beyond_its_end(tmp_path: Path) -> None:
    # Terabytes of latents: the allocator refuses at once.
    outcome, trace = run(tiny_case(size="65536*65536", frames=4001), tmp_path)
    assert outcome.status == "oom"
    assert trace.error["stage_reached"] == "TI2V_Preprocess"
    assert "can't allocate memory" in trace.error["message"]
    assert failures(tmp_path / "results") == {}
    assert not last_good_trace(tmp_path / "results", "tiny").exists()
    total = next(stage for stage in trace.stages if stage.name == "Total_Execution")
    times_s = read_counters(attempt_in(tmp_path, tiny_case()).trace)["CPU (%)"]["machine"].times_s
    assert any(time_s > total.start_s + total.extent_s for time_s in times_s)


def test_full_scale_without_a_gpu_is_refused_before_it_builds_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    outcome, trace = run(tiny_case(scale="full"), tmp_path)
    assert outcome == Outcome("error", "scale: full needs a GPU, and torch sees none here", "SettingError")
    assert [stage.name for stage in trace.stages] == ["Process_Startup"]


def test_the_measured_process_uses_all_cores_that_it_may_whatever_snakemake_sets_and_tells_no_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("wanbench.util.redaction._rules", redaction._rules.__wrapped__)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model_index.json").write_text("{}")
    outcome, trace = run(tiny_case(weights="pretrained", checkpoint=str(checkpoint)), tmp_path)
    assert outcome.status == "error"
    assert trace.environment["cpu_threads_torch"] == len(os.sched_getaffinity(0))
    text = (tmp_path / "results/traces/tiny.json").read_text()
    assert str(tmp_path) not in text
    assert '"~/checkpoint"' in text
    assert "Traceback" in (tmp_path / "log").read_text()
