"""Rules about the limits of the GPU itself: arithmetic, memory bandwidth, power."""

import statistics
from collections.abc import Iterator

import pandas as pd

from wanbench.analysis.figures import mean_over_time
from wanbench.analysis.mfu import MEASURED, mfu_pct, peak_flops_per_s
from wanbench.findings.advice import alternatives, can_cache, can_compile
from wanbench.findings.basis import (
    BOTTLENECK,
    NOTE,
    Context,
    Finding,
    Rule,
    denoising_mean,
    in_typical_steps,
    typical_stages,
)
from wanbench.findings.gains import advisable, costs_quality, speeds_up, step_gain_pct


def _memory_bandwidth_bound(context: Context) -> Iterator[Finding]:
    dram_pct = denoising_mean(context, "dram_activity_pct")
    tensor_pct = denoising_mean(context, "tensor_activity_pct")
    if dram_pct is None or tensor_pct is None:
        return
    limits = context.thresholds
    if dram_pct < limits.memory_bound_dram_pct or tensor_pct >= limits.compute_bound_tensor_pct:
        return
    text = (
        f"Denoising is held by the GPU's memory: its bandwidth is {dram_pct:.1f} % busy in "
        f"{in_typical_steps(context)}, its tensor cores {tensor_pct:.1f} %."
    )
    evidence = {"dram_activity_pct": dram_pct, "tensor_activity_pct": tensor_pct}
    if _should_compile(context):
        advice = "`compile: repeated_blocks` joins kernels that pass their results through memory."
        advised = alternatives("compile: repeated_blocks")
    else:
        float32 = context.case["dtype"] == "float32"
        advice = f"Another `attention`{' or `dtype: bfloat16`' if float32 else ''} may move less."
        advised = alternatives("attention", *(["dtype: bfloat16"] if float32 else []))
    yield Finding("memory_bandwidth_bound", BOTTLENECK, evidence, text, advice, advised)


def _should_compile(context: Context) -> bool:
    return can_compile(context.case) and advisable(context, "compile: repeated_blocks")


def _kernel_bound(context: Context) -> Iterator[Finding]:
    busy = _busy(context)
    if busy is None or busy[1] >= context.thresholds.compute_bound_tensor_pct:
        return
    dram_pct = denoising_mean(context, "dram_activity_pct")
    if dram_pct is not None and dram_pct >= context.thresholds.memory_bound_dram_pct:
        return
    sm_pct, tensor_pct = busy
    evidence, reached = _evidence(context, sm_pct, tensor_pct)
    why, advice, advised = _slow_kernels(context)
    text = (
        f"Denoising keeps the multiprocessors {sm_pct:.1f} % busy and the tensor cores only {tensor_pct:.1f} % in "
        f"{in_typical_steps(context)}{reached}: {why}."
    )
    yield Finding("kernel_bound", BOTTLENECK, evidence, text, advice, alternatives(advised))


def _slow_kernels(context: Context) -> tuple[str, str, str]:
    """Which kernels take the time, what to do, and the setting of that."""
    others = [near for near in context.neighbours if near.key == "attention" and not costs_quality(context.case, near)]
    faster = [near for near in others if speeds_up(context, near)]
    if faster:
        best = max(faster, key=lambda near: step_gain_pct(context.case, near))
        why = f"`attention: {context.case['attention']}` takes more of a step than others do"
        return why, f"Set `{best.setting}`.", best.setting
    why = "much of a step goes to the kernels between its matrix products"
    if _should_compile(context):
        return why, "`compile: repeated_blocks` joins them.", "compile: repeated_blocks"
    return why, "Another `attention` may need fewer of them.", "attention"


def _busy(context: Context) -> tuple[float, float] | None:
    """SM and tensor activity of typical steps in percent; None where not measured, or where the GPU waits."""
    sm_pct, tensor_pct = denoising_mean(context, "sm_activity_pct"), denoising_mean(context, "tensor_activity_pct")
    if sm_pct is None or tensor_pct is None or sm_pct < context.thresholds.compute_bound_sm_pct:
        return None
    return sm_pct, tensor_pct


def _evidence(context: Context, sm_pct: float, tensor_pct: float) -> tuple[dict[str, float], str]:
    """The figures, with MFU where it is known, and MFU in words."""
    evidence = {"sm_activity_pct": sm_pct, "tensor_activity_pct": tensor_pct}
    mfu = _typical_mfu(context)
    if mfu is None:
        return evidence, ""
    evidence["mfu_pct"], peak_per_s, source = mfu
    text = f", MFU {mfu[0]:.1f} % of {peak_per_s / 1e12:.1f} TFLOP/s ({source})"
    measured_per_s = context.number("matmul_flops_per_s")
    if measured_per_s is None or source == MEASURED:
        return evidence, text
    evidence["mfu_of_measured_pct"] = mfu[0] * peak_per_s / measured_per_s
    of_measured = f"{evidence['mfu_of_measured_pct']:.0f} % of the {measured_per_s / 1e12:.0f} TFLOP/s measured here"
    return evidence, f"{text} and {of_measured}"


def _compute_bound(context: Context) -> Iterator[Finding]:
    busy = _busy(context)
    if busy is None or busy[1] < context.thresholds.compute_bound_tensor_pct:
        return
    sm_pct, tensor_pct = busy
    evidence, reached = _evidence(context, sm_pct, tensor_pct)
    ways, advised = _faster_arithmetic(context)
    text = (
        f"Denoising is held by the GPU's arithmetic, which is a good state: the multiprocessors are {sm_pct:.1f} % and "
        f"the tensor cores {tensor_pct:.1f} % busy in {in_typical_steps(context)}{reached}."
    )
    advice = f"What can make it faster is less or cheaper work: {ways}."
    yield Finding("compute_bound", NOTE, evidence, text, advice, advised)


def _typical_mfu(context: Context) -> tuple[float, float, str] | None:
    """MFU of the typical step in percent, the peak in operations per second, and where the peak is from."""
    case = context.case
    name = case["gpu_name"] if pd.notna(case["gpu_name"]) else None
    peak = peak_flops_per_s(name, context.number("matmul_flops_per_s"))
    # The peak is that of 16 bit.
    if peak is None or case["dtype"] == "float32":
        return None
    shares = [mfu_pct(row.flops, row.time_s, peak[0]) for row in context.typical_rows]
    known = [share for share in shares if share is not None]
    return (statistics.median(known), *peak) if known else None


def _faster_arithmetic(context: Context) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Ways to less work in words, and the settings among them."""
    tried = any(
        near.key == "attention" and near.same_gpu and speeds_up(context, near) is False for near in context.neighbours
    )
    ways = {"attention": "an `attention` that was not tried here" if tried else "another `attention`"}
    ways["steps"] = "fewer `steps` (a distilled model)"
    if _should_compile(context):
        ways = {"compile: repeated_blocks": "`compile: repeated_blocks`"} | ways
    if can_cache(context.case):
        ways["cache: first_block"] = "`cache: first_block` (lossy)"
    *first, last = ways.values()
    return f"{', '.join(first)} or {last}", alternatives(*(way for way in ways if way != "steps"))


def _power_cap(context: Context) -> Iterator[Finding]:
    # Of a GPU that mostly waits NVML tells it too, at a quarter of the limit.
    share_pct = context.number("power_cap_typical_pct")
    if share_pct is None or share_pct < context.thresholds.power_cap_pct:
        return
    clocks, clock = _typical_clock(context)
    evidence = {"power_cap_typical_pct": share_pct} | clocks
    limit_w, limit = context.number("gpu_power_limit_w"), ""
    if limit_w is not None:
        evidence["power_limit_w"], limit = limit_w, f" of {limit_w:.0f} W"
    text = (
        f"The power limit{limit} held the clocks down in {share_pct:.1f} % of the samples of "
        f"{in_typical_steps(context)}{clock}, which is normal at full load."
    )
    yield Finding("power_cap", NOTE, evidence, text, "Compare times only with GPUs of the same limit.")


def _typical_clock(context: Context) -> tuple[dict[str, float], str]:
    """The mean SM clock of typical steps, weighted by time, and in words."""
    clock_mhz = mean_over_time((stage["sm_clock_mhz"], stage["time_s"]) for stage in typical_stages(context))
    if clock_mhz is None:
        return {}, ""
    evidence, most_mhz = {"sm_clock_mhz": clock_mhz}, context.number("gpu_sm_clock_max_mhz")
    text = f", to {evidence['sm_clock_mhz']:.0f} MHz"
    if most_mhz is None:
        return evidence, text
    return evidence | {"sm_clock_max_mhz": most_mhz}, f"{text} of {most_mhz:.0f} MHz at most"


RULES = (
    Rule(
        "memory_bandwidth_bound",
        "The GPU's own memory sets the pace: data comes and goes more slowly than it could be computed on. It is seen "
        "in the columns DRAM and Tensor of typical steps, weighted by time: bandwidth at `memory_bound_dram_pct` or "
        "more, tensor cores below `compute_bound_tensor_pct`. Kernels that only stream memory reach 80 to 90 % by that "
        "counter. Fewer, joined kernels or smaller data types help.",
        _memory_bandwidth_bound,
    ),
    Rule(
        "kernel_bound",
        "The GPU always has work, but much of it is not what its tensor cores do: elementwise operations, norms and "
        "casts between matrix products, each a kernel of its own. It is seen in the columns SM Act and Tensor of "
        "typical steps, weighted by time: at least `compute_bound_sm_pct`, below `compute_bound_tensor_pct`, and DRAM "
        "below `memory_bound_dram_pct`. Compiling joins such kernels into few. Where a case with another attention has "
        "shorter steps, it is this case's attention that takes the time. On several GPUs the rule is silent: there "
        "multiprocessors that wait for another GPU count as active.",
        _kernel_bound,
        of_activity=True,
    ),
    Rule(
        "compute_bound",
        "The GPU's arithmetic sets the pace, as it should: a note, since nothing is amiss. It is seen in the columns "
        "SM Act and Tensor of typical steps, weighted by time: at least `compute_bound_sm_pct` and "
        "`compute_bound_tensor_pct`. MFU is the counted operations of a typical step over its time, against the peak "
        "that the head of the report names, and against the rate that matrix products alone reached at the end of this "
        "case. Matrix products and attention alone reach about 75 % of tensor activity on an H200. On several GPUs the "
        "rule is silent, as kernel_bound.",
        _compute_bound,
        of_activity=True,
    ),
    Rule(
        "power_cap",
        "The board drew all the power that it may, and lowered its clocks to stay there. The share is that of the "
        "samples in typical steps with NVML's clock event reason for it; from `power_cap_pct` on it shows in the time. "
        "Where these steps have no samples of their own, nothing is said: NVML gives this reason for a GPU that mostly "
        "waits, too. It is how a GPU runs under full load and nothing to mend; it says that another GPU, or the same "
        "one with another limit, has other times.",
        _power_cap,
    ),
)
