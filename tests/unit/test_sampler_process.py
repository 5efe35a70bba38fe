"""The sampler as a process of its own."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from attempts import run, signal_to, wait_for, when_it_measures
from conftest import ROOT, simulated_work
from example_cases import tiny_case
from fake_nvml import Clock
from wanbench.telemetry import sampler
from wanbench.telemetry.host import HostSource
from wanbench.util.event_log import EventLog, EventTail

SCRIPTS = ROOT / "workflow/scripts"


def sampler_command(file: Path, pid: int) -> list[str]:
    return [sys.executable, "-m", "wanbench.telemetry.sampler", str(os.getpid()), str(file), str(pid), "0.1"]


@pytest.fixture
def busy_process() -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


def test_samples_are_on_a_grid_and_a_late_tick_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lasts_s, stop = Clock(), [0.002, 0.004, 0.25, 0.001, 0.09], threading.Event()
    monkeypatch.setattr(sampler, "time", clock)

    def read() -> dict[str, float]:
        clock.sleep(lasts_s.pop(0))
        if not lasts_s:
            stop.set()
        return {"cpu_pct": 1.0}

    host = SimpleNamespace(read=read)
    nvml = SimpleNamespace(read=dict, probe=lambda: {"found": round(clock.monotonic(), 3)}, refused=lambda: {"a": "b"})
    sampler.sample(host, nvml, EventLog(tmp_path / "samples"), 0.1, stop)
    *ticks, last = EventTail(tmp_path / "samples").new_records()
    assert [round(tick["time_ns"] / 1e9, 3) for tick in ticks] == [0, 0.1, 0.2, 0.5, 0.6]
    assert last == {"samples": 5, "missed": 2, "gpu_refused": {"a": "b"}}
    # A probe is taken 95 ms after a tick, or once its reading has come to an end, and written with the next.
    assert [tick["values"].get("found") for tick in ticks] == [None, 0.095, 0.195, 0.495, 0.595]


def test_the_sampler_sees_the_process_and_ends_with_a_count(tmp_path: Path, busy_process: subprocess.Popen) -> None:
    file = tmp_path / "samples"
    process = subprocess.Popen(sampler_command(file, busy_process.pid), cwd=SCRIPTS)
    wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") > 9)
    process.terminate()
    assert process.wait() == 0
    *ticks, last = EventTail(file).new_records()
    assert last["samples"] == len(ticks)
    shares = [tick["values"]["process_cpu_pct"] for tick in ticks[1:]]
    assert 0 < sum(shares) / len(shares) <= 100
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


def test_an_unseen_child_holds_no_sample_up(busy_process: subprocess.Popen, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, seen = threading.Event(), threading.Event()

    def children(self: psutil.Process, recursive: bool) -> list[psutil.Process]:
        looking.set()
        seen.wait()
        return [psutil.Process(busy_process.pid)]

    monkeypatch.setattr(psutil.Process, "children", children)
    source = HostSource(os.getpid())
    looking.wait()
    assert source.read()["process_mem_bytes"] > 0
    assert source.pids() == {os.getpid()}
    seen.set()
    wait_for(lambda: source.pids() == {os.getpid(), busy_process.pid})


def test_the_sampler_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, wanbench.telemetry.sampler; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_sampler_that_is_killed_leaves_its_samples_and_a_failed_check(tmp_path: Path) -> None:
    killed = tmp_path / "killed"

    def kill() -> None:
        signal_to("wanbench.telemetry.sampler", signal.SIGKILL)
        killed.touch()

    when_it_measures(tmp_path, kill, samples=5)
    work = f"while not Path({str(killed)!r}).exists(): time.sleep(0.02)\ntime.sleep(0.5)"
    outcome, trace = run(tiny_case(steps=2), tmp_path, simulated_work(work))
    assert outcome.status == trace.status == "ok"
    assert trace.quality["samples"] > 0
    assert trace.quality["samples_missed"] is None
    assert "sampling_gaps" in trace.quality["failed_checks"]
    last = next(stage for stage in trace.stages if stage.name == "Step_1_Inference")
    assert "sys_mem_bytes" not in last.measures
