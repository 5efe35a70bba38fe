"""What the measuring process asks of CUDA. Imported where torch is."""

import statistics

import torch


class CudaPeakMemory:
    """Peaks of torch's caching allocator on the current device, in bytes."""

    def take_peak(self) -> dict[str, int]:
        peaks = {
            "gpu_mem_allocated_bytes": torch.cuda.max_memory_allocated(),
            "gpu_mem_reserved_bytes": torch.cuda.max_memory_reserved(),
        }
        torch.cuda.reset_peak_memory_stats()
        return peaks


def matmul_flops_per_s() -> float | None:
    """Rate of bfloat16 matrix products on this GPU, the median of ten of 8192 x 8192; None if memory does not allow.

    The values are random: products of zeros draw less power and run faster.
    """
    size = 8192
    try:
        left, right = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        times_ms: list[float] = []
        for _ in range(13):  # the first three are at lower clocks, and choose the kernel
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            torch.mm(left, right)
            end.record()
            torch.cuda.synchronize()
            times_ms.append(start.elapsed_time(end))
    except torch.OutOfMemoryError:
        return None
    return 2 * size**3 / (statistics.median(times_ms[3:]) / 1e3)
