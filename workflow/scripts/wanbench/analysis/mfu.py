"""The most that a GPU can do, for model FLOPs utilisation (MFU)."""

from functools import cache

from wanbench.analysis.breakdown import Row
from wanbench.analysis.tables import TableRow
from wanbench.estimate.gpu_facts import find_gpu
from wanbench.registry import stages as stage_names
from wanbench.util.errors import InputError


def peak_of(case: TableRow) -> tuple[float, str] | None:
    """Operations in bfloat16 per second that MFU divides by, and where they are from; None where neither is known.

    A board of a lower power limit is slower than its datasheet; the report has the matrix rate that was measured, too.
    """
    if rate := _datasheet_flops_per_s(case["gpu_name"]):
        return rate, "datasheet"
    return case["matmul_flops_per_s"] and (case["matmul_flops_per_s"], "measured")


# Asked for each stage.
@cache
def _datasheet_flops_per_s(gpu_name: str | None) -> float | None:
    try:
        rate = find_gpu(gpu_name).bf16
    except InputError:
        return None
    return rate and rate * 1e12


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
