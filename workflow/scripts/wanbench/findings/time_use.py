"""Rules about where the time goes: weight transfers, idle or busy parts of the GPU, and stages beside the steps."""

import statistics
from collections.abc import Iterator
from dataclasses import replace

from wanbench.analysis.breakdown import Row
from wanbench.analysis.mfu import mfu_pct, peak_of
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import fits, option, without_offload
from wanbench.findings.basis import BOTTLENECK, NOTE, Context, Found
from wanbench.findings.setting_effects import advisable, should_compile
from wanbench.registry import stages as stage_names

_COMPILE = "compile: repeated_blocks"
_MOST_NAMED = 3
_STAGES = (stage_names.MODEL_INITIALIZATION, stage_names.COMPILATION, stage_names.VAE_DECODING)
_TRANSFERS = ("loading_s", "offloading_s", "loaded_bytes", "offloaded_bytes")


def _scaled(
    context: Context,
    part_s: float,
    whole_s: float,
    limit_pct: float,
    *,
    generations: int = 1,
    step_part_s: float = 0,
    low: bool = False,
) -> tuple[str, dict[str, float]]:
    """The severity of a share of so many generations together, and that share at the model's official number of steps.

    A preview exaggerates what is paid once, so it is a note where it is harmless at the official steps. The share there
    is evidence, where the case ran fewer steps and it is known.

    Args:
        part_s, whole_s: the share as it was measured.
        limit_pct: the finding fires from this share on, or below it with `low`.
        step_part_s: what every further step adds to the part.
    """
    more, step_s = context.official_steps - int(context.case["steps"]), context.number("step_s")
    if more <= 0 or step_s is None or context.case["status"] != stage_names.OK:
        return BOTTLENECK, {}
    # How often a cache serves random weights says nothing of more steps.
    if context.case["cache"] != "none" and context.case["weights"] == "random":
        return NOTE, {}
    added = generations * more
    share_pct = 100 * (part_s + added * step_part_s) / (whole_s + added * step_s)
    fires = share_pct < limit_pct if low else share_pct >= limit_pct
    return BOTTLENECK if fires else NOTE, {"official_steps_share_pct": share_pct}


def _transfers(context: Context) -> dict[str, float]:
    """Weight transfers of a measured run in figures, excluding compilation; empty where they take little of its time.

    On the CPU there is no second device, and they are bookkeeping.
    """
    if context.case["status"] != stage_names.OK or context.case["device"] != "cuda":
        return {}
    stages = [stage for stage in context.stages if stage["generation"] is not None and stage["measured"]]
    stages = [stage for stage in stages if stage["stage"] != stage_names.COMPILATION]
    count = len({stage["generation"] for stage in stages})
    figures = {key: sum(stage[key] or 0.0 for stage in stages) / count for key in _TRANSFERS}
    figures |= context.numbers("offload_all_s")
    transfer_s = figures["loading_s"] + figures["offloading_s"] + figures.get("offload_all_s", 0.0)
    generation_s = sum(stage["time_s"] for stage in stages) / count
    share_pct = 100 * transfer_s / generation_s if generation_s else 0.0
    if not share_pct or share_pct < context.thresholds.transfer_bound_pct:
        return {}
    return {"share_pct": share_pct, "transfer_s": transfer_s, "generation_s": generation_s} | figures


def transfer_bound(context: Context) -> Iterator[Found]:
    if not (evidence := _transfers(context)):
        return
    by_step_s = {stage_names.step_index(row.stage): 0.0 for row in context.typical_rows}
    for row in context.rows:
        if (step := stage_names.step_index(row.stage)) in by_step_s:
            by_step_s[step] += (row.loading_s or 0.0) + (row.offloading_s or 0.0)
    step_s, limit_pct = context.typical(list(by_step_s.values())), context.thresholds.transfer_bound_pct
    severity, official = _scaled(
        context, evidence["transfer_s"], evidence["generation_s"], limit_pct, step_part_s=step_s
    )
    resident = without_offload(context)
    # Copying while the GPU computes.
    streamed = None if resident.advised else option(context, offload="group_stream")
    if streamed and not (fits(context, streamed.peak_bytes) and advisable(context, "offload", "group_stream")):
        streamed = None
    advised = [streamed.settings] if streamed else resident.advised
    yield Found(severity, evidence | official, advised, {"resident": resident, "streamed": streamed})


def low_sm_activity(context: Context) -> Iterator[Found]:
    total, whole_s, made = context.row(stage_names.TOTAL_EXECUTION), context.executed_s, context.made_at_random
    # What waits for weights has a finding that says so (transfer_bound).
    if whole_s is None or _transfers(context):
        return
    if any(row is not None and row.sm_activity_pct is None for row in (total, made)):
        return
    busy_s, limit_pct = _busy_s(total) - (_busy_s(made) if made else 0), context.thresholds.low_sm_activity_pct
    sm_pct = 100 * busy_s / whole_s
    if sm_pct >= limit_pct:
        return
    step_pct, generations = context.denoising_mean("sm_activity_pct"), int(context.case["generations"])
    step_s = (step_pct or 0) / 100 * context.typical([row.time_s for row in context.typical_rows])
    severity, official = _scaled(
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
    sampled = [row for row in context.rows if row.sm_activity_pct is not None and row is not context.made_at_random]
    leaves = [row for row in sampled if row.stage not in stage_names.NOT_LEAVES]
    return sorted(leaves, key=lambda row: row.time_s - _busy_s(row), reverse=True)[:_MOST_NAMED]


def kernel_bound(context: Context) -> Iterator[Found]:
    evidence = _of_busy_steps(context)
    if evidence and evidence["tensor_activity_pct"] < context.thresholds.compute_bound_tensor_pct:
        advised = [[_COMPILE if should_compile(context) else "attention"]]
        yield Found(BOTTLENECK, evidence, advised)


def compute_bound(context: Context) -> Iterator[Found]:
    evidence = _of_busy_steps(context)
    if evidence and evidence["tensor_activity_pct"] >= context.thresholds.compute_bound_tensor_pct:
        ways = [_COMPILE] if should_compile(context) else []
        # No cache goes with several GPUs, on which the rule is silent.
        ways += ["attention", *(["cache: first_block"] if context.case["cache"] == "none" else [])]
        yield Found(NOTE, evidence, [[way] for way in ways])


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


def dominant_stage(context: Context) -> Iterator[Found]:
    whole_s, limit_pct = context.executed_s, context.thresholds.dominant_stage_pct
    for stage in _STAGES:
        parts = [part for part in context.stages if part["stage"] == stage]
        if whole_s is None or (stage == stage_names.MODEL_INITIALIZATION and context.made_at_random):
            continue
        # Weights that are transferred inside the stage are another rule's (transfer_bound).
        transfer_s = sum((part["loading_s"] or 0.0) + (part["offloading_s"] or 0.0) for part in parts)
        time_s = sum(part["time_s"] for part in parts) - transfer_s
        share_pct = 100 * time_s / whole_s
        if share_pct < limit_pct:
            continue
        severity, official = _scaled(context, time_s, whole_s, limit_pct, generations=int(context.case["generations"]))
        settings, untiled_bytes = _decoding_settings(context) if stage == stage_names.VAE_DECODING else ([], None)
        # The stage table has the time of one generation.
        said = {"stage": stage, "generations": len({part["generation"] for part in parts})}
        said |= {"settings": settings, "untiled_bytes": untiled_bytes}
        evidence = {"time_s": time_s, "share_pct": share_pct} | official
        yield Found(severity, evidence, [[setting] for setting in settings], said)


def _decoding_settings(context: Context) -> tuple[list[str], int | None]:
    """Settings that make decoding faster, and the GPU memory that it needs without tiles."""
    case, settings = context.case, []
    # Many CPUs emulate bfloat16, slower than float32.
    if case["vae_dtype"] == "float32" and not context.on_the_cpu and advisable(context, "vae_dtype", "bfloat16"):
        settings.append("vae_dtype: bfloat16")
    untiled_bytes = estimated_peak_bytes(replace(context.as_case, vae_tiling=False))
    if case["vae_tiling"] and fits(context, untiled_bytes) and advisable(context, "vae_tiling", "false"):
        settings.append("vae_tiling: false")
    return settings, untiled_bytes


# On several GPUs waiting for another counts as activity.
OF_ONE_GPU = (low_sm_activity, kernel_bound, compute_bound)
RULES = (transfer_bound, *OF_ONE_GPU, dominant_stage)
