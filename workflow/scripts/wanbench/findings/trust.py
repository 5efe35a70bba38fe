"""Rules about trust: may the figures of a case be believed?"""

import statistics
from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.findings.basis import WARNING, Context, Finding, Rule, on_the_cpu
from wanbench.findings.disturbed import look_for_the_cause
from wanbench.trace.verdict import SLOWED_DOWN


def _other_process(context: Context) -> Iterator[Finding]:
    if "other_process" not in context.failed_checks:
        return
    count, memory_bytes = int(context.case["other_processes"]), context.number("other_processes_mem_bytes")
    evidence = {"other_processes": float(count)}
    if memory_bytes is not None:
        evidence["other_processes_mem_bytes"] = memory_bytes
    text = (
        f"{count} other process(es) used this GPU during the case, with up to {gigabytes(memory_bytes)} GB: time, SM "
        "activity and energy are not this case's alone."
    )
    yield Finding("other_process", WARNING, evidence, text, "Free the GPU and run the case again.")


def _slowed_down(context: Context) -> Iterator[Finding]:
    if "slowed_down" not in context.failed_checks:
        return
    shares = {f"{reason}_pct": context.number(f"{reason}_pct") for reason in SLOWED_DOWN}
    evidence = {key: share for key, share in shares.items() if share}
    reasons = ", ".join(f"{key.removesuffix('_pct')} in {share:.1f} %" for key, share in evidence.items())
    text = f"The GPU was held below its own speed: {reasons} of the samples."
    advice = "Look at its cooling and power supply, and run the case again."
    yield Finding("slowed_down", WARNING, evidence, text, advice)


def _sync_boost(context: Context) -> Iterator[Finding]:
    share_pct = context.number("sync_boost_pct")
    if share_pct is None or share_pct <= context.thresholds.slowed_down_pct:
        return
    text = (
        f"The clocks were those of a group of GPUs that run in step (sync boost) in {share_pct:.1f} % of the samples: "
        "the slowest of the group sets them."
    )
    advice = "Take the GPU out of its sync boost group, or compare times only with cases of the same group."
    yield Finding("sync_boost", WARNING, {"sync_boost_pct": share_pct}, text, advice)


def _generations_excluded(context: Context) -> Iterator[Finding]:
    reasons = {stage["generation"]: stage["excluded"] for stage in context.stages if stage["excluded"]}
    if not reasons:
        return
    that_count = {stage["generation"] for stage in context.stages if stage["measured"]} - {None}
    named = ", ".join(f"{number} ({why.replace('_', ' ')})" for number, why in sorted(reasons.items()))
    text = (
        f"Excluded of every median and spread, since they are contaminated: {len(reasons)} generation(s), by number "
        f"from 0: {named}. Figures of a generation or a step are of the {len(that_count)} that count and are clean; "
        "time, load, energy and power of the whole case hold all."
    )
    advice = f"{look_for_the_cause(context)}."
    evidence = {"generations_excluded": float(len(reasons)), "generations_that_count": float(len(that_count))}
    yield Finding("generations_excluded", WARNING, evidence, text, advice)


def _step_time_changed(context: Context) -> Iterator[Finding]:
    if pd.isna(context.case["step_change_at"]):
        return
    step = int(context.case["step_change_at"])
    before_s, after_s = float(context.case["step_change_before_s"]), float(context.case["step_change_after_s"])
    text = f"Step time changed from {before_s:.2f} s to {after_s:.2f} s at step {step}, so s/step describes neither."
    advice = f"{look_for_the_cause(context)}, and run the case again."
    evidence = {"step": float(step), "before_s": before_s, "after_s": after_s}
    yield Finding("step_time_changed", WARNING, evidence, text, advice)


def _step_time_drift(context: Context) -> Iterator[Finding]:
    # A cache makes steps unlike by design, and a sudden change is not a drift.
    if context.case["cache"] != "none" or "step_time_changed" in context.failed_checks:
        return
    times_s = [row.time_s for row in context.typical_rows]
    if len(times_s) < context.thresholds.step_drift_steps:
        return
    slope_s = theil_sen_slope(times_s)
    median_s = statistics.median(times_s)
    drift_pct = 100 * slope_s * (len(times_s) - 1) / median_s
    if abs(drift_pct) < context.thresholds.step_drift_pct:
        return
    text = (
        f"Step time drifts by {drift_pct:+.1f} % over {len(times_s)} steps ({slope_s * 1e3:+.1f} ms a step, "
        f"Theil-Sen), so {median_s:.2f} s/step is a point on a slope."
    )
    first = look_for_the_cause(context) if on_the_cpu(context) else "Look at temperature and clocks in the trace"
    advice = f"{first}, and let a generation run with `warmup: 1` first."
    evidence = {"drift_pct": drift_pct, "slope_s_per_step": slope_s, "median_s": median_s}
    yield Finding("step_time_drift", WARNING, evidence, text, advice)


def theil_sen_slope(values: list[float]) -> float:
    """Median of the slopes between all pairs of values one apart: less than 29 % of outliers cannot move it.

    H. Theil, A rank-invariant method of linear and polynomial regression analysis, 1950; P. K. Sen, 1968.
    """
    return statistics.median((b - a) / (j - i) for (i, a), (j, b) in combinations(enumerate(values), 2))


def _output_not_finite(context: Context) -> Iterator[Finding]:
    if "output_not_finite" in context.failed_checks:
        text = "The video holds values that are not numbers: this setting does not work, however fast it is."
        advice = "Choose another `dtype`, `vae_dtype` or `attention`."
        yield Finding("output_not_finite", WARNING, {}, text, advice)


def _unaccounted_time(context: Context) -> Iterator[Finding]:
    if "unaccounted_time" not in context.failed_checks:
        return
    share_pct, rest_s = 100 - float(context.case["stage_coverage_pct"]), float(context.case["unaccounted_s"])
    text = f"{share_pct:.1f} % of Total_Execution ({fixed(rest_s)} s) belongs to no stage."
    advice = "Open the trace in Perfetto and look at what CPU, disk and memory do in the gaps between the stages."
    evidence = {"unaccounted_pct": share_pct, "unaccounted_s": rest_s}
    yield Finding("unaccounted_time", WARNING, evidence, text, advice)


def _sampling_gaps(context: Context) -> Iterator[Finding]:
    if "sampling_gaps" not in context.failed_checks:
        return
    covered_pct, gap_s = float(context.case["sample_coverage_pct"]), float(context.case["greatest_sample_gap_s"])
    text = (
        f"Samples cover {covered_pct:.1f} % of the time (greatest gap {gap_s:.2f} s), so sampled columns may miss "
        "what happened."
    )
    advice = "The sampler needs a share of one CPU core: leave it one."
    evidence = {"sample_coverage_pct": covered_pct, "greatest_sample_gap_s": gap_s}
    yield Finding("sampling_gaps", WARNING, evidence, text, advice)


RULES = (
    Rule(
        "other_process",
        "Somebody else computed on the same GPU while the case ran. NVML's list of processes is read with every "
        "sample; any process that is not the measured one counts, since even a small one takes its turns on the "
        "multiprocessors. The figures are not used in comparisons. Free the GPU, or choose another with "
        "CUDA_VISIBLE_DEVICES, and run the case again.",
        _other_process,
    ),
    Rule(
        "slowed_down",
        "The driver held the clocks down for heat, or because the board or its power supply asked for it. NVML's clock "
        "event reasons are read with every sample, and the shares are of the samples in Total_Execution; more than "
        "`slowed_down_pct` counts, as none of these belongs to normal work. Step times then describe the cooling. See "
        "to it, and run the case again.",
        _slowed_down,
    ),
    Rule(
        "sync_boost",
        "The board belongs to a group of GPUs whose clocks are kept equal (NVML's sync boost), so that the slowest of "
        "them, or its load, sets this one's speed. The share is that of the samples in Total_Execution with NVML's "
        "clock event reason for it; more than `slowed_down_pct` counts. The check of the case passes, since an "
        "administrator chose it, but the times are not this GPU's own.",
        _sync_boost,
    ),
    Rule(
        "generations_excluded",
        "Of several generations, some do not pass a check by themselves: another process was seen on the GPU while "
        "they ran, the GPU was slowed down, or their step time changed. A median over them and the others would "
        "describe neither, so they are excluded, as long as one that counts is clean; where none is, all count and "
        "the case does not pass. The check, s/step, the medians with their spread, and comparisons are then of the "
        "generations that remain. What is of the whole case (Time(s), Exec(s), Load, Energy(kJ), Power(W), peaks) "
        "holds all.",
        _generations_excluded,
    ),
    Rule(
        "step_time_changed",
        "Steps that should take equally long took one time up to a step and another from there on. It is looked for in "
        "the inference times of each generation, without the first step: the split with the least absolute deviation "
        "from the medians of both sides, `step_change_steps` or more. It counts above `step_change_pct`, "
        "`step_change_s` and `step_change_deviations` times the noise, which clocks and temperature alone do not "
        "reach. A median over both describes neither: find what else ran, and run the case again.",
        _step_time_changed,
    ),
    Rule(
        "step_time_drift",
        "Steps became slower or faster little by little. The slope is the median of the slopes between all pairs of "
        "typical steps' inference times (Theil-Sen: Theil 1950, Sen 1968), which single slow steps cannot move, times "
        "the number of steps. Clocks that follow the temperature make 1 to 2 % of it, so `step_drift_pct` lies above; "
        "with fewer steps than `step_drift_steps` nothing is concluded, nor with a cache, whose steps are not alike. "
        "Warm the GPU up first (`warmup: 1`), and look at temperature, clocks and other processes.",
        _step_time_drift,
    ),
    Rule(
        "output_not_finite",
        "The decoded video held infinities or values that are no numbers. The tensor is checked once after each case. "
        "Such a video is black or noise, so a fast setting that makes one is no setting: choose another `dtype`, "
        "`vae_dtype` or `attention`.",
        _output_not_finite,
    ),
    Rule(
        "unaccounted_time",
        "The stages do not add up to Total_Execution. It is the difference of the two, both by the monotonic clock; "
        "a coverage below `min_stage_coverage_pct` hides what takes the time. Open the trace in Perfetto and look at "
        "what lies between the stages.",
        _unaccounted_time,
    ),
    Rule(
        "sampling_gaps",
        "The sampler did not get its turn. Coverage is the share of Total_Execution in which samples followed each "
        "other as asked for; below `min_sample_coverage_pct`, or with a gap above `max_sample_gap_s`, sampled columns "
        "describe something else than the case. "
        "Times are not affected. Leave the sampler a CPU core, or do not run other work on the machine.",
        _sampling_gaps,
    ),
)
