"""The most that a GPU can do, for model FLOPs utilisation (MFU)."""

from wanbench.analysis.breakdown import Row
from wanbench.analysis.tables import TableRow
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


def peak_of(case: TableRow) -> tuple[float, str] | None:
    """The rate that MFU divides by, and where it is from; None where neither is known."""
    if case["gpu_name"] in DATASHEET_BF16_FLOPS_PER_S:
        return DATASHEET_BF16_FLOPS_PER_S[case["gpu_name"]], "datasheet"
    return case["matmul_flops_per_s"] and (case["matmul_flops_per_s"], "measured")


def mfu_pct(row: Row, case: TableRow) -> float | None:
    """Operations of a stage over what its GPUs could have done in that time, in percent.

    None where that is not known, and where the stage computes in a type that the peak is not for: float32 and products
    of 8 bits have others.
    """
    is_step = stage_names.step_index(row.stage) is not None
    dtype = case["vae_dtype"] if row.stage in (stage_names.VAE_DECODING, stage_names.PREPROCESS) else case["dtype"]
    peak = peak_of(case)
    of_other_type = dtype == "float32" or (is_step and case["quantization"] != "none")
    if peak is None or of_other_type or row.flops is None or not row.time_s:
        return None
    # Steps are shared by all GPUs of a case; the rest each of them does by itself.
    gpus = case["gpus"] if is_step else 1
    return 100 * row.flops / row.time_s / (peak[0] * gpus)
