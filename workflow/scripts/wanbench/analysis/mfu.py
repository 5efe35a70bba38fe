"""The most that a GPU can do, for model FLOPs utilisation (MFU)."""

from wanbench.registry import stages as stage_names

# Dense bfloat16 tensor-core rate without sparsity, in operations per second, from NVIDIA's datasheets. A board of a
# lower power limit is slower than its datasheet; the matrix rate that was measured stands beside it in the report.
DATASHEET_BF16_FLOPS_PER_S = {
    "NVIDIA H200": 989.4e12,
    "NVIDIA H100 80GB HBM3": 989.4e12,
    "NVIDIA H100 PCIe": 756.5e12,
    "NVIDIA H100 NVL": 835.5e12,
    "NVIDIA H20": 148e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA L40S": 362.05e12,
    "NVIDIA L4": 121e12,
    "NVIDIA GeForce RTX 4090": 165.2e12,
    "NVIDIA B200": 2250e12,
}

MEASURED = "measured"


def peak_flops_per_s(gpu_name: str | None, measured_flops_per_s: float | None) -> tuple[float, str] | None:
    """The rate that MFU divides by, and where it is from; None where neither is known."""
    if gpu_name in DATASHEET_BF16_FLOPS_PER_S:
        return DATASHEET_BF16_FLOPS_PER_S[gpu_name], "datasheet"
    if measured_flops_per_s is not None:
        return measured_flops_per_s, MEASURED
    return None


def gpus_that_share(stage: str, gpus: int) -> int:
    """Number of a case's GPUs that the work of a stage is spread over: the rest of it each of them does by itself."""
    return gpus if stage_names.step_index(stage) is not None else 1


def mfu_pct(flops: float | None, time_s: float, peak_per_s: float | None) -> float | None:
    """Operations over what the GPU could have done in that time, in percent."""
    if flops is None or peak_per_s is None or not time_s:
        return None
    return 100 * flops / time_s / peak_per_s
