"""What the measuring process asks of CUDA. Imported where torch is."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from wanbench.measure.intervals import Interval

# GPM's latches come every 0.1 s and can be read up to 0.15 s later: so the load spans several, and its end is seen.
_BUSY_S = 0.3
_IDLE_S = 0.4


class CudaPeakMemory:
    """Peaks of torch's caching allocator on the current device, in bytes."""

    def take_peak(self) -> dict[str, int]:
        peaks = {
            "gpu_mem_allocated_bytes": torch.cuda.max_memory_allocated(),
            "gpu_mem_reserved_bytes": torch.cuda.max_memory_reserved(),
        }
        torch.cuda.reset_peak_memory_stats()
        return peaks


@dataclass(frozen=True)
class MatmulRun:
    """Matrix products on an otherwise idle GPU.

    Attributes:
        flops_per_s: rate of bfloat16 products of 8192 x 8192, the median.
        busy_ns: from when to when they ran, monotonic, in nanoseconds.
    """

    flops_per_s: float
    busy_ns: Interval


def run_matmul() -> MatmulRun:
    """Multiply matrices for a while, with the GPU idle before and after.

    The rate is what this GPU reaches, and the times tell where on the clock the sampler's values belong. The values
    are random: products of zeros draw less power and run faster.

    Raises:
        RuntimeError: CUDA refuses, for want of memory (400 MB) or for another reason.
    """
    size = 8192
    left, right = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    _milliseconds(lambda: torch.mm(left, right))  # chooses the kernel
    time.sleep(_IDLE_S)
    start_ns = time.monotonic_ns()
    times_ms: list[float] = []
    while time.monotonic_ns() < start_ns + _BUSY_S * 1e9:
        times_ms.append(_milliseconds(lambda: torch.mm(left, right)))
    end_ns = time.monotonic_ns()
    time.sleep(_IDLE_S)
    return MatmulRun(2 * size**3 / (statistics.median(times_ms) / 1e3), (start_ns, end_ns))


def _milliseconds(work: Callable[[], object]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)
