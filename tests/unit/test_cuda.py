"""What the measuring process asks of CUDA, with CUDA's part simulated."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from simulated_time import Clock
from tiny import record
from wanbench.measure import cuda, measured_process
from wanbench.measure.measured_process import multiply_matrices

CLOCK = Clock()


class _Event:
    """Stands in for torch.cuda.Event: times of the host."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at_s = CLOCK.monotonic()

    def elapsed_time(self, later: "_Event") -> float:
        return (later.at_s - self.at_s) * 1e3


@dataclass
class Simulated:
    """When matrix products began and the host waited for the GPU, monotonic, in nanoseconds."""

    products_ns: list[int] = field(default_factory=list)
    waits_ns: list[int] = field(default_factory=list)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """CUDA simulated."""
    seen = Simulated()
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: seen.waits_ns.append(CLOCK.now_ns))
    monkeypatch.setattr(torch, "randn", lambda *_, **__: torch.ones(4, 4))

    for module in (cuda, measured_process):
        monkeypatch.setattr(module, "time", CLOCK)

    def mm(*_: Any) -> None:
        seen.products_ns.append(CLOCK.now_ns)
        CLOCK.sleep(0.01)

    monkeypatch.setattr(torch, "mm", mm)
    return seen


def test_matrix_products_run_between_two_pauses(simulated: Simulated) -> None:
    before_ns = CLOCK.now_ns
    run = cuda.run_matmul()
    after_ns = CLOCK.now_ns
    start_ns, end_ns = run.busy_ns
    before, load = ([t for t in simulated.products_ns if (t >= start_ns) == later] for later in (False, True))
    # They choose the kernel and tell how long a product takes.
    assert len(before) == 6
    assert before[-1] < start_ns - 0.4e9
    assert load[-1] <= end_ns
    assert end_ns - start_ns == pytest.approx(0.3e9, rel=0.05)
    # No pauses in which nothing is queued.
    assert [t for t in simulated.waits_ns if t >= load[0]] == [t for t in simulated.waits_ns if t >= load[-1]]
    assert (start_ns - before_ns, after_ns - end_ns) >= (0.4e9, 0.4e9)
    # 2 x 8192^3 operations in 10 ms.
    assert run.flops_per_s == pytest.approx(2 * 8192**3 / 0.01)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUBLAS_STATUS_X")])
def test_a_case_is_complete_without_matrix_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, error: Exception
) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(cuda, "run_matmul", refuse)
    _, recording = record(tmp_path, multiply_matrices)
    assert recording.matmul["flops_per_s"] is None
    assert recording.matmul["time_s"] >= 0
    assert recording.matmul_times == []
    assert str(error) in capfd.readouterr().err


def test_the_times_of_matrix_products_are_noted(simulated: Simulated, tmp_path: Path) -> None:
    _, recording = record(tmp_path, multiply_matrices)
    [(start_ns, end_ns)] = recording.matmul_times
    assert 0.2e9 <= end_ns - start_ns <= recording.matmul["time_s"] * 1e9 - 0.8e9
    assert recording.matmul["flops_per_s"] > 0
