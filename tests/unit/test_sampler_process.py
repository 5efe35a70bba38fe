"""The sampler as a process of its own."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from attempts import run, wait_for, when_it_measures
from conftest import ROOT
from example_cases import tiny_case
from wanbench.telemetry.host import HostSource
from wanbench.util.event_log import EventTail

SCRIPTS = ROOT / "workflow/scripts"


def sampler_command(file: Path, pid: int) -> list[str]:
    return [sys.executable, "-m", "wanbench.telemetry.sampler", str(os.getpid()), str(file), str(pid), "0.1"]


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
    wait_for(lambda: file.exists() and len(file.read_text().splitlines()) > 20)
    sampler.terminate()
    assert sampler.wait(60) == 0
    *ticks, last = EventTail(file).new_records()
    assert last["samples"] == len(ticks)
    times_s = [tick["time_ns"] / 1e9 for tick in ticks]
    # No tick comes before its time on the grid of the first, and what comes later on a busy machine is counted.
    assert times_s[-1] - times_s[0] > 0.1 * (len(ticks) - 1) - 0.01
    assert last["missed"] >= int((times_s[-2] - times_s[0]) / 0.1) + 2 - len(ticks)
    shares = [tick["values"]["process_cpu_pct"] for tick in ticks[1:]]
    # One busy thread of all logical CPUs, or what others leave it of one.
    assert 0 < sum(shares) / len(shares) < 1.1 * 100 / psutil.cpu_count()
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
        source.close()
    finally:
        process.kill()
        process.wait()


def test_a_child_that_cannot_be_looked_at_holds_no_sample_up(
    busy_process: subprocess.Popen, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, seen = threading.Event(), threading.Event()

    def children(self: psutil.Process, recursive: bool) -> list[psutil.Process]:
        looking.set()
        assert seen.wait(60)
        return [psutil.Process(busy_process.pid)]

    monkeypatch.setattr(psutil.Process, "children", children)
    source = HostSource(os.getpid())
    assert looking.wait(60)
    begin_s = time.monotonic()
    assert source.read()["process_mem_bytes"] > 0
    assert time.monotonic() - begin_s < 30
    assert source.pids() == {os.getpid()}
    seen.set()
    wait_for(lambda: source.pids() == {os.getpid(), busy_process.pid})
    source.close()


def test_the_sampler_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, wanbench.telemetry.sampler; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_sampler_that_is_killed_leaves_its_samples_and_a_fault(tmp_path: Path) -> None:
    def kill() -> None:
        for process in psutil.Process().children():
            if "wanbench.telemetry.sampler" in process.cmdline():
                process.kill()

    case = tiny_case(steps=50)
    when_it_measures(tmp_path / "results/attempts" / case.name, kill)
    outcome, trace = run(case, tmp_path)
    assert outcome.status == trace.status == "ok"
    assert trace.quality["samples"] > 0
    assert trace.quality["samples_missed"] is None
    assert "sampling_gaps" in trace.quality["failed_checks"]
    decoding = next(stage for stage in trace.stages if stage.name == "VAE_Decoding")
    assert "sys_mem_bytes" not in decoding.measures


def test_a_sampler_that_does_not_end_costs_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wanbench.measure.supervisor._SAMPLER_ENDS_WITHIN_S", 0.0)
    outcome, trace = run(tiny_case(timeout_s=1), tmp_path)
    assert outcome.status == trace.status == "timeout"
    assert trace.quality["samples"] > 0
    assert not psutil.Process().children(recursive=True)
