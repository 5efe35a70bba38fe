"""Sampler, supervisor and their ends: real processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import psutil
import pytest

from attempts import left_in, order_of, places_in
from conftest import ROOT, simulated_gpus
from fake_nvml import H200, SECOND
from tiny import tiny_case
from wanbench.cases.case import Case
from wanbench.measure.event_log import EventTail
from wanbench.measure.failures import Failures, failures, last_good_trace
from wanbench.measure.gpu_slots import own_slot
from wanbench.measure.gpus import Gpu
from wanbench.measure.lost import record_lost_attempt
from wanbench.measure.order import Places
from wanbench.measure.outcome import Outcome, TimeLimit, time_limit
from wanbench.measure.supervisor import _process, supervise
from wanbench.measure.telemetry.host import HostSource
from wanbench.trace.reader import Trace, read_trace

SCRIPTS = ROOT / "workflow/scripts"


def wait_for(condition: Callable[[], object], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def sampler_command(file: Path, pid: int) -> list[str]:
    return [sys.executable, "-m", "wanbench.measure.telemetry.sampler", str(os.getpid()), str(file), str(pid), "0.1"]


@pytest.fixture
def busy_process() -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


def test_the_sampler_keeps_its_rate_sees_the_process_and_ends_with_a_count(
    tmp_path: Path, busy_process: subprocess.Popen
) -> None:
    file = tmp_path / "samples"
    sampler = subprocess.Popen(sampler_command(file, busy_process.pid), cwd=SCRIPTS)
    wait_for(file.exists)
    time.sleep(2)
    sampler.terminate()
    assert sampler.wait(5) == 0
    *ticks, last = EventTail(file).new_records()
    assert last["samples"] == len(ticks)
    times_s = [tick["time_ns"] / 1e9 for tick in ticks]
    mean_interval_s = (times_s[-1] - times_s[0]) / (len(ticks) - 1 + last["missed"])
    assert mean_interval_s == pytest.approx(0.1, abs=0.01)
    shares = [tick["values"]["process_cpu_pct"] for tick in ticks[1:]]
    # One busy thread of all logical CPUs; other tests run beside this one, so only the lower bound is loose.
    one_core_pct = 100 / psutil.cpu_count()
    assert 0.1 * one_core_pct < sum(shares) / len(shares) < 1.1 * one_core_pct
    assert all(tick["values"]["sys_mem_bytes"] > tick["values"]["process_mem_bytes"] > 0 for tick in ticks)
    assert "cpu_pct" not in ticks[0]["values"]


@pytest.mark.parametrize("waited_for", [False, True])
def test_a_process_that_ended_has_no_figures_and_not_zeros(waited_for: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        source = HostSource(process.pid)
        wait_for(lambda: source.read().get("process_mem_bytes"))
        assert source.read()["process_cpu_pct"] >= 0
        process.communicate(b"\n") if waited_for else process.stdin.close()
        wait_for(lambda: waited_for or psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        after = source.read()
        assert {"sys_mem_bytes", "cpu_pct"} <= after.keys()
        assert not after.keys() & {"process_mem_bytes", "process_cpu_pct"}
    finally:
        process.kill()
        process.wait()


def test_the_sampler_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, wanbench.measure.telemetry.sampler; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("gpus", [1, 2])
def test_sampler_and_measuring_processes_end_when_their_supervisor_is_killed(tmp_path: Path, gpus: int) -> None:
    case_file = tmp_path / "case.json"
    case_file.write_text(json.dumps(tiny_case(gpus=gpus).settings()))
    code = (
        "import json, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from wanbench.cases.case import Case\n"
        "from wanbench.measure.order import Order, Places\n"
        "from wanbench.measure.supervisor import supervise\n"
        "here = Path(sys.argv[2])\n"
        "case = Case.from_settings(json.loads((here / 'case.json').read_text()))\n"
        "places = Places(here / 't.json', here / 'log', here / 'v.mp4', here / 'work', here)\n"
        "supervise(Order(case, places, {}, None, 'run'), None)\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", code, str(SCRIPTS), str(tmp_path)], stderr=subprocess.DEVNULL)
    samples = tmp_path / "work/samples.jsonl"
    wait_for(lambda: samples.exists() and len(samples.read_text().splitlines()) > 5)
    children = psutil.Process(supervisor.pid).children(recursive=True)
    assert len(children) == 1 + gpus
    # The processes that would compute on the GPUs keep them from others until they are gone themselves.
    holding = [child for child in children if any("machine.lock" in file.path for file in child.open_files())]
    assert [child.cmdline()[2] for child in holding] == ["wanbench.measure.child", "wanbench.measure.rank"][:gpus]
    supervisor.kill()
    supervisor.wait()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    with own_slot([], 1, pytest.fail):
        pass

    # What it leaves is enough for a trace, and the log that Snakemake removes before it tries again is still there.
    (tmp_path / "log").unlink()
    places = Places(tmp_path / "t.json", tmp_path / "log", tmp_path / "v.mp4", tmp_path / "work", tmp_path)
    record_lost_attempt(order_of(tiny_case(), places, "run"))
    trace = read_trace(places.trace)
    assert trace.status == "killed"
    assert trace.quality["samples"] > 0
    assert 0.3 < trace.total_duration_s < 20
    assert "Process_Startup begins" in places.log.read_text()
    assert failures(tmp_path)["tiny"].failed_attempts == 1
    assert left_in(places) == {"run", "trace.json"}


def test_a_case_ends_before_its_job_does(tmp_path: Path) -> None:
    case = tiny_case(timeout_s=100)
    outcome = supervise(order_of(case, places_in(tmp_path, case)), None, job_limit_s=2)
    assert outcome.status == "timeout"
    assert outcome.message.startswith("ended after 2 s, as its job had no more time; timeout_s = 100 s allows more")
    assert time_limit(100, 100) == time_limit(100, 200) == time_limit(100, None) == TimeLimit(100, "timeout_s = 100 s")


def test_what_a_case_waits_for_a_gpu_is_taken_from_the_time_of_its_job(tmp_path: Path) -> None:
    with ExitStack() as another_case:
        another_case.enter_context(own_slot([], 1, pytest.fail))
        threading.Timer(1.5, another_case.pop_all().close).start()
        case = tiny_case(timeout_s=100)
        outcome = supervise(order_of(case, places_in(tmp_path, case)), None, job_limit_s=1)
    assert outcome.status == "timeout"
    assert outcome.message.startswith("ended after 0 s, as its job had no more time")


def test_a_process_whose_supervisor_died_before_it_could_ask_ends_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    command = [sys.executable, "-m", "wanbench.measure.child", str(gone.pid), str(tmp_path / "job.json")]
    assert subprocess.run(command, cwd=SCRIPTS, timeout=20).returncode == -signal.SIGKILL


def run(case: Case, folder: Path) -> tuple[Outcome, Trace]:
    places = places_in(folder, case)
    outcome = supervise(order_of(case, places), None)
    assert left_in(places) == {"run", "trace.json"}
    return outcome, read_trace(places.trace)


def kill_child_of(work: Path, how: int) -> None:
    """Send a signal to the measuring process as soon as it has begun its case."""

    def kill() -> None:
        events = work / "events.jsonl"
        wait_for(lambda: events.exists() and "Total_Execution" in events.read_text(), within_s=60)
        for process in psutil.process_iter(["cmdline"]):
            if str(work / "job.json") in (process.info["cmdline"] or []):
                process.send_signal(how)

    threading.Thread(target=kill).start()


def test_a_killed_process_leaves_a_trace_with_its_stages_and_samples_and_the_last_good_trace(tmp_path: Path) -> None:
    case = tiny_case(steps=1000)
    kill_child_of(tmp_path / "results/work" / case.name, signal.SIGKILL)
    outcome, trace = run(case, tmp_path)
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
    failed, _ = run(tiny_case(timeout_s=0.5), tmp_path)
    assert failed.status == "timeout"
    assert read_trace(kept).stages == good_trace.stages
    assert failures(tmp_path / "results") == {"tiny": Failures(2, "timeout", failed.message, ANY)}


def when_it_measures(work: Path, act: Callable[[], None]) -> None:
    """Do something as soon as a case has begun its first step."""

    def wait() -> None:
        events = work / "events.jsonl"
        wait_for(lambda: events.exists() and "Step_0" in events.read_text(), within_s=60)
        act()

    threading.Thread(target=wait).start()


def test_a_sampler_that_is_killed_leaves_its_samples_and_a_fault(tmp_path: Path) -> None:
    def kill() -> None:
        for process in psutil.Process().children():
            if "wanbench.measure.telemetry.sampler" in process.cmdline():
                process.kill()

    case = tiny_case(steps=50)
    when_it_measures(tmp_path / "results/work" / case.name, kill)
    outcome, trace = run(case, tmp_path)
    assert outcome.status == trace.status == "ok"
    assert trace.quality["samples"] > 0
    assert trace.quality["samples_missed"] is None
    assert "sampling_gaps" in trace.quality["faults"]
    decoding = next(stage for stage in trace.stages if stage.name == "VAE_Decoding")
    assert "sys_mem_bytes" not in decoding.measures


def test_a_gpu_that_is_lost_in_the_middle_leaves_absent_values_and_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = tmp_path / "lost"
    monkeypatch.setattr("wanbench.measure.supervisor.usable_gpus", lambda environment: [Gpu(H200, 150_754_820_096)])
    for name, value in (simulated_gpus(H200) | {"SIMULATED_GPUS_LOST": str(lost)}).items():
        monkeypatch.setenv(name, value)
    case = tiny_case(steps=50)
    when_it_measures(tmp_path / "results/work" / case.name, lost.touch)
    outcome, trace = run(case, tmp_path)
    assert outcome.status == trace.status == "ok"
    assert "sampling_gaps" in trace.quality["faults"]
    stages = {stage.name: stage.measures for stage in trace.stages}
    assert stages["Process_Startup"]["power_w"] > 0
    assert stages["Total_Execution"]["samples"] > 0
    assert {"power_w", "energy_j", "sm_activity_pct"}.isdisjoint(stages["VAE_Decoding"])
    # Nothing ran that would tell it, and none is claimed.
    assert trace.environment["gpu_telemetry"]["gpm_latches_found"] is False
    assert {"energy_j", "sm_activity_pct"}.isdisjoint(stages["Total_Execution"])


def test_a_clock_that_is_set_back_changes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_back = tmp_path / "set_back"
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests/simulated_clock"))
    monkeypatch.setenv("SIMULATED_CLOCK_SET_BACK", str(set_back))
    case = tiny_case(steps=50)
    when_it_measures(tmp_path / "results/work" / case.name, set_back.touch)
    began_s = time.monotonic()
    outcome, trace = run(case, tmp_path)
    lasted_s = time.monotonic() - began_s
    clock = [sys.executable, "-c", "import datetime, time; print(time.time(), datetime.datetime.now().timestamp())"]
    seen = subprocess.run(clock, capture_output=True, text=True, check=True)
    assert all(time.time() - float(now_s) > 2 * 86400 for now_s in seen.stdout.split())
    assert outcome.status == "ok"
    assert {"sampling_gaps", "unaccounted_time"}.isdisjoint(trace.quality["faults"])
    assert 1 < trace.total_duration_s < lasted_s
    assert all(0 <= stage.start_s <= stage.start_s + stage.extent_s < lasted_s for stage in trace.stages)


def test_what_a_finished_process_left_running_is_ended(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, file=open(sys.argv[-1], 'w'))"
    (tmp_path / "leaves.py").write_text(code)
    with _process("leaves", [tmp_path / "pid"], tmp_path / "log", {"PYTHONPATH": str(tmp_path)}) as process:
        assert process.wait(20) == 0
        left = psutil.Process(int((tmp_path / "pid").read_text()))
        assert left.is_running()
    wait_for(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, within_s=5)


def test_a_job_ends_with_its_snakemake_though_a_shell_lives_between_them() -> None:
    """On every Python: conda-forge's has no pidfd_open."""
    snakemake = subprocess.Popen(["sleep", "60"])
    code = (
        "import os; vars(os).pop('pidfd_open', None)\n"
        f"import time, wanbench.lifeline as l; l.end_with({snakemake.pid}); print(flush=True); time.sleep(60)"
    )
    job = subprocess.Popen([sys.executable, "-c", code], cwd=SCRIPTS, stdout=subprocess.PIPE)
    job.stdout.readline()
    time.sleep(1)
    assert job.poll() is None
    snakemake.kill()
    # Not waited for: one that nobody has asked for its exit code yet is gone all the same.
    assert job.wait(5) == -signal.SIGTERM
    snakemake.wait()
    late = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, timeout=20)
    assert late.returncode == -signal.SIGTERM


def test_the_measuring_process_keeps_the_python_path_of_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clusters provide packages through it; seen on a GPU machine whose diffusers was found nowhere else."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/diffusers.py").write_text("raise RuntimeError('found on the path of the user')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    outcome, _ = run(tiny_case(), tmp_path)
    assert outcome.message == "found on the path of the user"


def test_a_sampler_that_does_not_end_costs_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wanbench.measure.supervisor._SAMPLER_ENDS_WITHIN_S", 0.0)
    outcome, trace = run(tiny_case(timeout_s=1), tmp_path)
    assert outcome.status == trace.status == "timeout"
    assert trace.quality["samples"] > 0
    assert not psutil.Process().children(recursive=True)


def test_looking_and_waiting_for_a_gpu_are_no_part_of_the_process_that_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def slow(environment: Mapping[str, str]) -> list[Gpu]:
        time.sleep(1)
        return []

    monkeypatch.setattr("wanbench.measure.supervisor.usable_gpus", slow)
    with ExitStack() as another_case:
        another_case.enter_context(own_slot([], 1, pytest.fail))
        threading.Timer(2, another_case.pop_all().close).start()
    _, trace = run(tiny_case(timeout_s=1), tmp_path)
    assert trace.total_duration_s < 2
    line = "[tiny] waits: another case runs, and without a GPU one runs at a time\n"
    assert (tmp_path / "log").read_text().count(line) == 1
    assert capfd.readouterr().err.count(line) == 1


def test_the_gpu_that_was_taken_is_the_one_that_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wanbench.measure.supervisor.usable_gpus", lambda environment: [Gpu(SECOND, 150_754_820_096)])
    for name, value in simulated_gpus(H200, SECOND).items():
        monkeypatch.setenv(name, value)
    outcome, trace = run(tiny_case(), tmp_path)
    assert outcome.status == "ok"
    assert trace.environment["gpu_telemetry"]["gpus"] == [SECOND]
    assert trace.environment["gpu_telemetry"]["driver"] == "580.159.04"


@pytest.mark.parametrize(("total_bytes", "warns"), [(20_000_000_000, True), (80_000_000_000, False), (None, False)])
def test_a_case_that_cannot_fit_is_warned_of_before_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total_bytes: int | None, warns: bool
) -> None:
    gpus = [] if total_bytes is None else [Gpu("GPU-0", total_bytes)]
    monkeypatch.setattr("wanbench.measure.supervisor.usable_gpus", lambda environment: gpus)
    run(tiny_case(scale="full", size="1280*704", frames=121, dtype="bfloat16"), tmp_path)
    log = (tmp_path / "log").read_text()
    assert ("about 46.7 GB are needed, and this GPU has 20.0 GB" in log) == warns


def test_a_hanging_process_is_ended_and_leaves_no_process(tmp_path: Path) -> None:
    outcome, trace = run(tiny_case(timeout_s=1), tmp_path)
    assert outcome == Outcome("timeout", "ended after timeout_s = 1 s")
    assert trace.error["stage_reached"] == "Process_Startup"
    assert 1 <= trace.total_duration_s < 3
    assert not psutil.Process().children(recursive=True)


def test_out_of_memory_is_told_from_other_errors(tmp_path: Path) -> None:
    # Terabytes of latents: the allocator refuses at once.
    outcome, trace = run(tiny_case(size="65536*65536", frames=4001), tmp_path)
    assert outcome.status == "oom"
    assert trace.error["stage_reached"] == "TI2V_Preprocess"
    assert "can't allocate memory" in trace.error["message"]
    assert failures(tmp_path / "results") == {}
    assert not last_good_trace(tmp_path / "results", "tiny").exists()


def test_full_scale_without_a_gpu_is_refused_before_it_builds_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    outcome, trace = run(replace(tiny_case(), scale="full"), tmp_path)
    assert outcome == Outcome("error", "scale: full needs a GPU, and torch sees none here", "SettingError")
    assert trace.total_duration_s < 60


def test_the_measuring_process_uses_all_cores_that_it_may_whatever_snakemake_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    _, trace = run(tiny_case(), tmp_path)
    assert trace.environment["cpu_threads_torch"] == len(os.sched_getaffinity(0))


def test_an_error_keeps_its_message_and_tells_no_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model_index.json").write_text("{}")
    outcome, _ = run(tiny_case(weights="pretrained", checkpoint=str(checkpoint)), tmp_path)
    assert outcome.status == "error"
    text = (tmp_path / "results/traces/tiny.json").read_text()
    assert str(tmp_path) not in text
    assert '"~/checkpoint"' in text
    assert "Traceback" in (tmp_path / "log").read_text()
