"""Rules about a GPU that waits: for the host that launches its work, or for anything else."""

from collections.abc import Iterable, Iterator, Sequence

from wanbench.analysis.breakdown import Row
from wanbench.analysis.numbers import fixed
from wanbench.findings.advice import alternatives, can_compile
from wanbench.findings.basis import (
    BOTTLENECK,
    Context,
    Finding,
    Rule,
    denoising_mean,
    executed,
    in_typical_steps,
    made_at_random,
    total_of,
)
from wanbench.findings.gains import advisable
from wanbench.findings.official_steps import AtOfficialSteps, Share, for_low_share, not_known, typical_busy_s
from wanbench.findings.transfers import is_moving, moving_pct
from wanbench.registry import stages as stage_names

# What else has no figure must be next to nothing, if the rest is to be that of the steps.
_MIN_SHARE_OF_TIME = 0.99


def _low_sm_inference(context: Context) -> Iterator[Finding]:
    sm_pct = context.number("inference_sm_activity_pct")
    if sm_pct is None or sm_pct >= context.thresholds.low_sm_activity_pct:
        return
    steps = [row for row in context.rows if row.stage.endswith("_Inference")]
    idlest = _idlest(steps)
    # The rows are of one generation: medians where several count.
    official = _busy_at_official_steps(context, sm_pct, total_of(row.time_s for row in steps), 1)
    in_full = official.in_brackets(f"{context.case['steps']} steps")
    text = (
        f"SM activity is {sm_pct:.1f} % over the inference of all steps{in_full}: the GPU waits in denoising itself, "
        f"most in {_listed(idlest)}."
    )
    advice = (
        "Open the trace in Perfetto and look at what CPU and PCIe do under these steps: one busy core means launches, "
        "traffic means weights; a first step alone is passed by `warmup: 1`."
    )
    evidence = {"sm_activity_pct": sm_pct} | official.evidence | _idle_s(idlest)
    yield Finding("low_sm_inference", official.severity, evidence, text, advice)


def _idlest(rows: Iterable[Row], count: int = 3) -> list[Row]:
    """The stages in which the GPU idles the longest."""
    sampled = [row for row in rows if row.sm_activity_pct is not None]
    return sorted(sampled, key=lambda row: row.time_s * (100 - row.sm_activity_pct), reverse=True)[:count]


def _listed(rows: Iterable[Row]) -> str:
    return ", ".join(f"{row.stage} ({fixed(row.time_s)} s at {row.sm_activity_pct:.0f} %)" for row in rows)


def _idle_s(rows: Iterable[Row]) -> dict[str, float]:
    return {f"{row.stage}_idle_s": row.time_s * (1 - row.sm_activity_pct / 100) for row in rows}


def _low_sm_activity(context: Context) -> Iterator[Finding]:
    total, base = context.row(stage_names.TOTAL_EXECUTION), executed(context)
    if total is None or base is None or total.sm_activity_pct is None:
        return
    made = made_at_random(context)
    sm_pct = _without(total, made)
    if sm_pct is None or sm_pct >= context.thresholds.low_sm_activity_pct:
        return
    leaves = [
        row for row in context.rows if stage_names.is_stage(row.stage) and row.stage not in stage_names.NOT_LEAVES
    ]
    steps = [row for row in leaves if stage_names.step_index(row.stage) is not None]
    without_s = total_of(row.time_s for row in steps if row.sm_activity_pct is None)
    unknown = steps if without_s > (1 - _MIN_SHARE_OF_TIME) * total_of(row.time_s for row in steps) else []
    others = [row for row in leaves if row not in unknown]
    together = _together(unknown, others, total)
    idlest = _idlest([*(row for row in (others if together else leaves) if row is not made), *together])
    official = _busy_at_official_steps(context, sm_pct, base[0], int(context.case["generations"]))
    in_full = official.in_brackets(f"{context.case['steps']} steps")
    where = f" {'The' if together or not unknown else 'Of the stages with a figure, the'} GPU idles most in "
    text = f"SM activity is {sm_pct:.1f} % over {base[1]}{in_full}.{where + _listed(idlest) + '.' if idlest else ''}"
    evidence = {"sm_activity_pct": sm_pct} | official.evidence | _idle_s(idlest)
    yield Finding("low_sm_activity", official.severity, evidence, text, _idle_advice(context))


def _together(steps: Sequence[Row], others: Sequence[Row], total: Row) -> list[Row]:
    """Steps without a figure as one row, with what the other stages leave of the whole; none where that is not theirs.

    Args:
        steps: where loading and inference take turns, most of them have none of the sampled figures.
        others: with the steps, the stages that the whole consists of.
        total: the whole, whose SM activity is known.
    """
    known = [row for row in others if row.sm_activity_pct is not None]
    left_s = total.time_s - total_of(row.time_s for row in known)
    steps_s = total_of(row.time_s for row in steps)
    if not steps_s or steps_s < _MIN_SHARE_OF_TIME * left_s:
        return []
    left_pct_s = total.sm_activity_pct * total.time_s - total_of(row.sm_activity_pct * row.time_s for row in known)
    return [Row(f"{steps[0].stage} to {steps[-1].stage}", steps_s, sm_activity_pct=max(0.0, left_pct_s) / left_s)]


def _busy_at_official_steps(context: Context, sm_pct: float, base_s: float, generations: int) -> AtOfficialSteps:
    step_busy_s = typical_busy_s(context)
    if step_busy_s is None:
        return not_known(context)
    share = Share(sm_pct / 100 * base_s, base_s, generations, step_busy_s)
    return for_low_share(context, share, context.thresholds.low_sm_activity_pct)


def _idle_advice(context: Context) -> str:
    if is_moving(context):
        return "Weights on their way are part of it (transfer_bound): begin there."
    return (
        "Open the trace in Perfetto and look at CPU, PCIe and memory under these stages: what is busy there is what "
        "the GPU waits for."
    )


def _without(total: Row, part: Row | None) -> float | None:
    """SM activity of a stage without a part of it; None where that of the part was not measured."""
    if part is None:
        return total.sm_activity_pct
    if part.sm_activity_pct is None or part.time_s >= total.time_s:
        return None
    load_pct_s = total.sm_activity_pct * total.time_s - part.sm_activity_pct * part.time_s
    return load_pct_s / (total.time_s - part.time_s)


def _launch_bound(context: Context) -> Iterator[Finding]:
    sm_pct, cpu_pct = denoising_mean(context, "sm_activity_pct"), denoising_mean(context, "process_cpu_pct")
    logical_cores = context.number("cpu_cores_logical")
    if sm_pct is None or cpu_pct is None or logical_cores is None:
        return
    cores = cpu_pct * logical_cores / 100
    weights_pct = moving_pct(context)
    if sm_pct >= context.thresholds.launch_bound_sm_pct or cores < context.thresholds.launch_bound_cores:
        return
    if weights_pct >= context.thresholds.transfer_bound_pct:
        return
    compilable = can_compile(context.case) and advisable(context, "compile: repeated_blocks")
    advice = (
        "`compile: repeated_blocks` launches fewer, larger kernels."
        if compilable
        else "Larger videos or a faster CPU core fill the GPU better."
    )
    text = (
        f"{in_typical_steps(context).capitalize()}: {sm_pct:.1f} % SM activity while the process uses {cores:.1f} CPU "
        "cores, so that it cannot launch work as fast as the GPU finishes it."
    )
    evidence = {"sm_activity_pct": sm_pct, "process_cores": cores, "moving_pct": weights_pct}
    advised = alternatives("compile: repeated_blocks") if compilable else ()
    yield Finding("launch_bound", BOTTLENECK, evidence, text, advice, advised)


RULES = (
    Rule(
        "launch_bound",
        "Python cannot launch kernels as fast as the GPU finishes them. It is seen in the steps after the first, "
        "without the expert-switch step: SM activity below `launch_bound_sm_pct`, the measured process at about one "
        "CPU core (`launch_bound_cores`; its share of all logical cores times their number), and few weights on the "
        "move. A process that waits for the GPU keeps a core busy too, so only both together count. Compiling makes "
        "fewer, larger kernels.",
        _launch_bound,
        of_activity=True,
    ),
    Rule(
        "low_sm_inference",
        "The multiprocessors had work for less than `low_sm_activity_pct` of the steps' inference time (the column SM "
        "Act, weighted by time; loading is not in it). Below half, something else than the GPU sets the pace of "
        "denoising: launches, a slow first step, or other processes. Where a case of fewer steps than the model's "
        "official number would reach the threshold there, by its typical steps, the finding is a note. On several GPUs "
        "the rule is silent: multiprocessors that wait for another GPU count as active.",
        _low_sm_inference,
        of_activity=True,
    ),
    Rule(
        "low_sm_activity",
        "The multiprocessors had work for less than `low_sm_activity_pct` of Total_Execution. It counts loading, "
        "decoding and export, and initialisation with weights from a checkpoint, not the making of random ones. The "
        "stages named have the most idle time; steps whose loading and inference take turns too fast for a figure each "
        "are one, with what the other stages leave of the whole. The trace shows what is busy there instead. A GPU "
        "that is rented by the hour is paid for that time too. Where a case of fewer steps than the model's official "
        "number would reach the threshold there, by its typical steps, the finding is a note. On several GPUs the rule "
        "is silent, as low_sm_inference.",
        _low_sm_activity,
        of_activity=True,
    ),
)
