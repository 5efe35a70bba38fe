"""What the measuring process asks of CUDA. Imported where torch is."""

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
