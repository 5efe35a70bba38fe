"""Rules about what the GPU does in denoising: it waits, or its kernels or its arithmetic set the pace."""

import statistics
from collections.abc import Iterator

from wanbench.analysis.breakdown import Row
from wanbench.analysis.mfu import mfu_pct, peak_of
from wanbench.findings.advice import alternatives
from wanbench.findings.basis import BOTTLENECK, NOTE, Context, Found, rule, scaled
from wanbench.findings.setting_effects import should_compile
from wanbench.findings.transfers import is_transferring
from wanbench.registry import stages as stage_names

_MOST_NAMED = 3
_COMPILE = "compile: repeated_blocks"


@rule
def low_sm_activity(context: Context) -> Iterator[Found]:
    total, whole_s, made = context.row(stage_names.TOTAL_EXECUTION), context.executed_s, context.made_at_random
    # What waits for weights has a finding that says so (transfer_bound).
    if whole_s is None or is_transferring(context):
        return
    if any(row is not None and row.sm_activity_pct is None for row in (total, made)):
        return
    busy_s, limit_pct = _busy_s(total) - (_busy_s(made) if made else 0), context.thresholds.low_sm_activity_pct
    sm_pct = 100 * busy_s / whole_s
    if sm_pct >= limit_pct:
        return
    step_pct, generations = context.denoising_mean("sm_activity_pct"), int(context.case["generations"])
    step_s = (step_pct or 0) / 100 * context.typical([row.time_s for row in context.typical_rows] or [0.0])
    severity, official = scaled(
        context, busy_s, whole_s, limit_pct, generations=generations, step_part_s=step_s, low=True
    )
    idlest = _idlest(context)
    evidence = {"sm_activity_pct": sm_pct} | ({} if step_pct is None else official)
    evidence |= {f"{row.stage}_idle_s": row.time_s - _busy_s(row) for row in idlest}
    yield Found(severity, evidence, said={"idlest": idlest})


def _busy_s(row: Row) -> float:
    return row.time_s * (row.sm_activity_pct or 0) / 100


def _idlest(context: Context) -> list[Row]:
    """The stages in which the GPU idles the longest."""
    leaves = [
        row for row in context.rows if row.stage not in stage_names.NOT_LEAVES and row.sm_activity_pct is not None
    ]
    leaves = [row for row in leaves if stage_names.is_stage(row.stage) and row is not context.made_at_random]
    return sorted(leaves, key=lambda row: row.time_s - _busy_s(row), reverse=True)[:_MOST_NAMED]


@rule
def kernel_bound(context: Context) -> Iterator[Found]:
    evidence = _of_busy_steps(context)
    if evidence and evidence["tensor_activity_pct"] < context.thresholds.compute_bound_tensor_pct:
        advised = alternatives(_COMPILE if should_compile(context) else "attention")
        yield Found(BOTTLENECK, evidence, advised)


@rule
def compute_bound(context: Context) -> Iterator[Found]:
    evidence = _of_busy_steps(context)
    if evidence and evidence["tensor_activity_pct"] >= context.thresholds.compute_bound_tensor_pct:
        ways = [_COMPILE] if should_compile(context) else []
        # No cache goes with several GPUs, on which the rule is silent.
        ways += ["attention", *(["cache: first_block"] if context.case["cache"] == "none" else [])]
        yield Found(NOTE, evidence, alternatives(*ways))


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
    known = [share for row in context.typical_rows if (share := mfu_pct(row, context.case)) is not None]
    if known:
        evidence["mfu_pct"] = statistics.median(known)
        if measured_per_s := context.number("matmul_flops_per_s"):
            evidence["mfu_of_measured_pct"] = evidence["mfu_pct"] * peak_of(context.case)[0] / measured_per_s
    return evidence


# Silent on several GPUs, where waiting for another counts as activity.
RULES = (low_sm_activity, kernel_bound, compute_bound)
