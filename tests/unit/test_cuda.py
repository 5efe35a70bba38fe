"""What the measured process asks of CUDA, with CUDA and time simulated."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from tiny import record
from wanbench.measure import cuda
from wanbench.measure.wan.run_case import disk_read_bytes, multiply_matrices

PRODUCT_S = 0.01


@dataclass
class Simulated:
    """When matrix products began and the host waited for the GPU, in seconds of a clock that only they move."""

    now_s: float = 1000.0
    products_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    def monotonic_ns(self) -> int:
        return round(self.now_s * 1e9)

    def sleep(self, time_s: float) -> None:
        self.now_s += time_s

    def mm(self, *_: object) -> None:
        self.products_s.append(self.now_s)
        self.now_s += PRODUCT_S

    def synchronize(self) -> None:
        self.waits_s.append(self.now_s)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    seen = Simulated()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at_s = seen.now_s

        def elapsed_time(self, later: "Event") -> float:
            return (later.at_s - self.at_s) * 1e3

    monkeypatch.setattr(cuda, "time", seen)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", seen.synchronize)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: torch.ones(4, 4))
    monkeypatch.setattr(torch, "mm", seen.mm)
    return seen


def test_matrix_products_run_between_two_pauses(simulated: Simulated, tmp_path: Path) -> None:
    _, recording = record(tmp_path, multiply_matrices)
    [(start_ns, end_ns)] = recording.matmul_times
    before, load = (
        [t for t in simulated.products_s if (round(t * 1e9) >= start_ns) == later] for later in (False, True)
    )
    # They choose the kernel and show how long a product takes.
    assert len(before) == 6
    assert start_ns / 1e9 == pytest.approx(before[-1] + PRODUCT_S + 0.4)
    assert len(load) in (30, 31)
    assert end_ns - start_ns == pytest.approx(len(load) * PRODUCT_S * 1e9)
    assert simulated.now_s == pytest.approx(end_ns / 1e9 + 0.4)
    # No pauses in which nothing is queued.
    assert [t for t in simulated.waits_s if t >= load[0]] == [pytest.approx(load[-1] + PRODUCT_S)]
    assert recording.matmul["flops_per_s"] == pytest.approx(2 * 8192**3 / PRODUCT_S)


def test_a_case_is_complete_without_matrix_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def refuse() -> None:
        raise RuntimeError("CUBLAS_STATUS_X")

    monkeypatch.setattr(cuda, "run_matmul", refuse)
    _, recording = record(tmp_path, multiply_matrices)
    assert recording.matmul["flops_per_s"] is None
    assert recording.matmul["time_s"] >= 0
    assert recording.matmul_times == []
    assert "CUBLAS_STATUS_X" in capfd.readouterr().err


def test_bytes_that_the_system_does_not_count_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: psutil.Process) -> None:
        raise FileNotFoundError("/proc/1/io")

    assert disk_read_bytes() >= 0
    monkeypatch.setattr(psutil.Process, "io_counters", refuse)
    assert disk_read_bytes() is None


@pytest.fixture
def gpu_of_80_gb(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The shares that were set; a share reads back in whole bytes, as torch's allocator keeps it."""
    total, shares = 80_000_000_007, [1.0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=total))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda: int(shares[-1] * total) / total)
    monkeypatch.setattr(cuda, "_limits_gb", {})
    return shares


@pytest.mark.parametrize(("gpus", "for_torch_gb"), [(1, 22.2), (2, 19.5)])
def test_a_memory_limit_leaves_room_for_cuda(gpu_of_80_gb: list[float], gpus: int, for_torch_gb: float) -> None:
    assert cuda.memory_limit_gb() is None
    cuda.limit_memory(24, gpus)
    assert gpu_of_80_gb[-1] * 80 == pytest.approx(for_torch_gb)
    assert cuda.memory_limit_gb() == 24
    gpu_of_80_gb.append(0.5)
    # Nobody asked for that.
    assert math.isnan(cuda.memory_limit_gb())
    for memory_gb in (1.5, 81):
        with pytest.raises(ValueError, match=r"allowed: more than \S+, .* up to the 80.0 of this GPU"):
            cuda.limit_memory(memory_gb, gpus)
    assert len(gpu_of_80_gb) == 3
