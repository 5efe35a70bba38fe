"""Rules about what the GPU does in denoising: it waits, or its kernels or its arithmetic set the pace."""

import statistics
from collections.abc import Iterator

import pandas as pd

from wanbench.analysis.breakdown import Row
from wanbench.analysis.mfu import mfu_pct, peak_flops_per_s
from wanbench.analysis.numbers import fixed
from wanbench.findings.advice import alternatives
from wanbench.findings.basis import BOTTLENECK, NOTE, Context, Finding, rule, total_of
from wanbench.findings.official_steps import scaled
from wanbench.findings.setting_effects import should_compile
from wanbench.findings.transfers import is_transferring
from wanbench.registry import stages as stage_names

_MOST_NAMED = 3
# Less of the time without a figure is not worth a name.
_MIN_UNKNOWN_SHARE = 0.01
_COMPILE = "compile: repeated_blocks"


@rule(
    "The multiprocessors had work for less than `low_sm_activity_pct` of Total_Execution, without the making of random "
    "weights. The stages named have the most idle time. Where the share scaled to the official steps reaches the "
    "threshold, it is a note.",
    of_activity=True,
)
def low_sm_activity(context: Context) -> Iterator[Finding]:
    total, base, made = context.row(stage_names.TOTAL_EXECUTION), context.executed, context.made_at_random
    if base is None or any(row is not None and row.sm_activity_pct is None for row in (total, made)):
        return
    whole_s, of_what = base
    busy_s, limit_pct = _busy_s(total) - (_busy_s(made) if made else 0), context.thresholds.low_sm_activity_pct
    sm_pct = 100 * busy_s / whole_s
    if sm_pct >= limit_pct:
        return
    step_pct, generations = context.denoising_mean("sm_activity_pct"), int(context.case["generations"])
    step_s = (step_pct or 0) / 100 * context.typical([row.time_s for row in context.typical_rows] or [0.0])
    official = scaled(context, busy_s, whole_s, limit_pct, generations=generations, step_part_s=step_s, low=True)
    words, evidence = ("", {}) if step_pct is None else (official.words, official.evidence)
    idlest = _idlest(context, whole_s, busy_s)
    named = ", ".join(f"{row.stage} ({fixed(row.time_s)} s at {row.sm_activity_pct:.0f} %)" for row in idlest)
    text = f"SM activity is {sm_pct:.1f} % over {of_what}{words}, and the GPU idles most in {named}."
    evidence = {"sm_activity_pct": sm_pct} | evidence
    evidence |= {f"{row.stage}_idle_s": row.time_s - _busy_s(row) for row in idlest}
    advice = "Open the trace in Perfetto: what is busy under these stages is what the GPU waits for."
    if is_transferring(context):
        advice = "Weight transfers are part of it (transfer_bound): begin there."
    yield Finding("low_sm_activity", official.severity, evidence, text, advice)


def _busy_s(row: Row) -> float:
    return row.time_s * (row.sm_activity_pct or 0) / 100


def _idlest(context: Context, whole_s: float, busy_s: float) -> list[Row]:
    """The stages in which the GPU idles the longest; those without a figure together, by what the others leave."""
    leaves = [row for row in context.rows if stage_names.is_stage(row.stage) and row is not context.made_at_random]
    leaves = [row for row in leaves if row.stage not in stage_names.NOT_LEAVES and row.sm_activity_pct is not None]
    rest_s = whole_s - total_of(row.time_s for row in leaves)
    # Rows are of one generation, and the whole is of all.
    if context.case["generations"] == 1 and rest_s > _MIN_UNKNOWN_SHARE * whole_s:
        rest_busy_s = max(0.0, busy_s - total_of(map(_busy_s, leaves)))
        leaves.append(Row("stages without a figure", rest_s, sm_activity_pct=100 * rest_busy_s / rest_s))
    return sorted(leaves, key=lambda row: row.time_s - _busy_s(row), reverse=True)[:_MOST_NAMED]


@rule(
    "The GPU always has work, but much of it is elementwise operations, norms and casts between matrix products. In "
    "typical steps SM Act is at least `compute_bound_sm_pct` and Tensor below `compute_bound_tensor_pct`.",
    of_activity=True,
)
def kernel_bound(context: Context) -> Iterator[Finding]:
    evidence = _of_busy_steps(context)
    if evidence and evidence["tensor_activity_pct"] < context.thresholds.compute_bound_tensor_pct:
        text = f"Much of a step goes to the kernels between its matrix products: {_in_words(context, evidence)}."
        advice, advised = "Another `attention` may need fewer of them.", alternatives("attention")
        if should_compile(context):
            advice, advised = f"`{_COMPILE}` joins them.", alternatives(_COMPILE)
        yield Finding("kernel_bound", BOTTLENECK, evidence, text, advice, advised)


@rule(
    "The GPU's arithmetic sets the pace, as it should. In typical steps SM Act is at least `compute_bound_sm_pct` and "
    "Tensor at least `compute_bound_tensor_pct`; matrix products and attention alone reach about 75 % on an H200.",
    of_activity=True,
)
def compute_bound(context: Context) -> Iterator[Finding]:
    evidence = _of_busy_steps(context)
    if evidence and evidence["tensor_activity_pct"] >= context.thresholds.compute_bound_tensor_pct:
        text = f"The GPU's arithmetic sets the pace, which is a good state: {_in_words(context, evidence)}."
        ways = [_COMPILE] if should_compile(context) else []
        # No cache goes with several GPUs, on which the rule is silent.
        ways += ["attention", *(["cache: first_block"] if context.case["cache"] == "none" else [])]
        advice = f"Less or cheaper work makes it faster: {', '.join(f'`{way}`' for way in ways)}, or fewer `steps`."
        yield Finding("compute_bound", NOTE, evidence, text, advice, alternatives(*ways))


def _of_busy_steps(context: Context) -> dict[str, float]:
    """Activity of typical steps, with MFU where it is known; empty where not measured, or where the GPU waits."""
    measures = ("sm_activity_pct", "tensor_activity_pct", "dram_activity_pct")
    means = {measure: context.denoising_mean(measure) for measure in measures}
    evidence = {measure: mean for measure, mean in means.items() if mean is not None}
    if (
        "tensor_activity_pct" not in evidence
        or evidence.get("sm_activity_pct", 0) < context.thresholds.compute_bound_sm_pct
    ):
        return {}
    case, measured_per_s = context.case, context.number("matmul_flops_per_s")
    peak = peak_flops_per_s(case["gpu_name"] if pd.notna(case["gpu_name"]) else None, measured_per_s)
    # The peak is that of 16 bit.
    if peak is not None and case["dtype"] != "float32":
        shares = [mfu_pct(row.flops, row.time_s, peak[0]) for row in context.typical_rows]
        if known := [share for share in shares if share is not None]:
            evidence["mfu_pct"] = statistics.median(known)
            evidence |= (
                {"mfu_of_measured_pct": evidence["mfu_pct"] * peak[0] / measured_per_s} if measured_per_s else {}
            )
    return evidence


def _in_words(context: Context, evidence: dict[str, float]) -> str:
    mfu = ""
    if "mfu_pct" in evidence:
        mfu = f", MFU {evidence['mfu_pct']:.1f} %"
    if "mfu_of_measured_pct" in evidence:
        mfu += f" ({evidence['mfu_of_measured_pct']:.0f} % of the rate of matrix products measured here)"
    return (
        f"multiprocessors are {evidence['sm_activity_pct']:.1f} % and tensor cores "
        f"{evidence['tensor_activity_pct']:.1f} % busy in {context.in_typical_steps}{mfu}"
    )


RULES = (low_sm_activity, kernel_bound, compute_bound)
