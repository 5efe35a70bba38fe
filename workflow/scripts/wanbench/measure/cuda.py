"""What the measured process asks of CUDA. Imported where torch is."""

import math
import statistics
import time
from itertools import pairwise

import torch

from wanbench.util.intervals import Interval

# GPM's counters are refreshed every 0.1 s and can be read up to 0.22 s later: so the load spans several refreshes, and
# its end is seen.
_BUSY_S = 0.3
_IDLE_S = 0.4
_SIZE = 8192
# To know how long one takes.
_TRIED = 5

# What was used of a GPU beside what torch's allocator held (CUDA's context, kernels, NCCL), at most, in the cases kept
# with the project: 1.75 GB on one H200, 4.45 on several, and less on H100s.
_BESIDE_TORCH_BYTES = 1_800_000_000
_BESIDE_TORCH_SEVERAL_BYTES = 4_500_000_000
# What `limit_memory` set, and was asked for. The allocator keeps whole bytes, so that a share reads back a little less.
_limits_gb: dict[float, float] = {}
_ALIKE = 1e-6


def limit_memory(memory_gb: float, gpus: int) -> None:
    """Let torch's allocator take no more of the current GPU than a GPU of `memory_gb` times 1e9 bytes would leave it.

    Raises:
        ValueError: this GPU has less, or the other one is too small for CUDA itself.
    """
    total_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    beside_bytes = _BESIDE_TORCH_BYTES if gpus == 1 else _BESIDE_TORCH_SEVERAL_BYTES
    if not beside_bytes < memory_gb * 1e9 <= total_bytes:
        allowed = f"more than {beside_bytes / 1e9:g}, which CUDA takes, up to the {total_bytes / 1e9:.1f} of this GPU"
        raise ValueError(f"gpu_memory_gb: {memory_gb:g} is not possible here; allowed: {allowed}")
    share = (memory_gb * 1e9 - beside_bytes) / total_bytes
    torch.cuda.set_per_process_memory_fraction(share)
    _limits_gb[share] = memory_gb


def memory_limit_gb() -> float | None:
    """The limit in force, by the share that torch's allocator says it may take: NaN for one that nobody asked for."""
    share = torch.cuda.get_per_process_memory_fraction() if torch.cuda.is_available() else 1.0
    known = (limit_gb for asked, limit_gb in _limits_gb.items() if abs(asked - share) <= _ALIKE)
    return None if share == 1.0 else next(known, math.nan)


def take_peak() -> dict[str, int]:
    """Peaks of torch's caching allocator on the current device since the last call, in bytes."""
    peaks = {
        "gpu_mem_allocated_bytes": torch.cuda.max_memory_allocated(),
        "gpu_mem_reserved_bytes": torch.cuda.max_memory_reserved(),
    }
    torch.cuda.reset_peak_memory_stats()
    return peaks


def run_matmul() -> tuple[float, Interval]:
    """Multiply matrices for a while, with the GPU idle before and after.

    The rate is what this GPU reaches, and the times say where on the clock the sampler's values belong. The values
    are random: products of zeros draw less power and run faster. The host waits for the last product alone: with a
    wait for each, multiprocessors are busy in 84 to 92 % of the time, as it comes, and a load that is not even is
    placed badly (seen on an H100).

    Returns:
        Floating-point operations per second of bfloat16 products of 8192 x 8192, the median; and from when to when
        they ran, monotonic, in nanoseconds.

    Raises:
        RuntimeError: CUDA refuses, for want of memory (400 MB) or for another reason.
    """
    left, right = (torch.randn(_SIZE, _SIZE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    _times_ms(left, right, 1)  # chooses the kernel
    count = math.ceil(_BUSY_S * 1e3 / statistics.median(_times_ms(left, right, _TRIED)))
    time.sleep(_IDLE_S)
    start_ns = time.monotonic_ns()
    times_ms = _times_ms(left, right, count)
    end_ns = time.monotonic_ns()
    time.sleep(_IDLE_S)
    return 2 * _SIZE**3 / (statistics.median(times_ms) / 1e3), (start_ns, end_ns)


def _times_ms(left: torch.Tensor, right: torch.Tensor, count: int) -> list[float]:
    """Milliseconds that each of so many products took, one after the other without a pause."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        torch.mm(left, right)
        event.record()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) for before, after in pairwise(events)]
