"""What the measuring process asks of CUDA, with CUDA's part simulated."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny import record
from wanbench.measure import cuda
from wanbench.measure.child import multiply_matrices


class _Event:
    """Stands in for torch.cuda.Event: times of the host."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at_s = time.monotonic()

    def elapsed_time(self, later: "_Event") -> float:
        return (later.at_s - self.at_s) * 1e3


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """CUDA simulated; the instants of the matrix products."""
    products: list[float] = []
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: torch.ones(4, 4))

    def mm(*_: Any) -> None:
        products.append(time.monotonic_ns())
        time.sleep(0.01)

    monkeypatch.setattr(torch, "mm", mm)
    return products


def test_matrix_products_run_between_two_pauses(simulated: list[float]) -> None:
    before_ns = time.monotonic_ns()
    run = cuda.run_matmul()
    after_ns = time.monotonic_ns()
    start_ns, end_ns = run.busy_ns
    # The first product of all chooses the kernel, before the pause.
    assert simulated[0] < start_ns - 0.4e9 < simulated[1]
    assert start_ns <= simulated[1]
    assert simulated[-1] <= end_ns
    assert end_ns - start_ns >= 0.3e9
    assert (start_ns - before_ns, after_ns - end_ns) >= (0.4e9, 0.4e9)
    # 2 x 8192^3 operations in 10 ms, or somewhat more on a busy machine.
    assert run.flops_per_s == pytest.approx(0.75 * 2 * 8192**3 / 0.01, rel=0.34)


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


def test_the_times_of_matrix_products_are_noted(simulated: list[float], tmp_path: Path) -> None:
    _, recording = record(tmp_path, multiply_matrices)
    [(start_ns, end_ns)] = recording.matmul_times
    assert 0.3e9 <= end_ns - start_ns <= recording.matmul["time_s"] * 1e9 - 0.8e9
    assert recording.matmul["flops_per_s"] > 0
