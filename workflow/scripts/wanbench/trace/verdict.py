"""Can the figures of a case be trusted? What was seen stands in its trace; limits decide.

Both wings judge with this: the measure wing for the trace, the report wing with the limits that are in force when the
report is made.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The power cap is how a GPU under full load is run; these say that the machine keeps it from its own speed.
SLOWED_DOWN = ("hardware_slowdown", "thermal_software", "thermal_hardware", "power_brake")


@dataclass(frozen=True)
class Limits:
    """When a check is not passed, by the keys of config/thresholds.yaml, which has the reason for each.

    Attributes:
        min_sample_coverage_pct, max_sample_gap_s, min_stage_coverage_pct: of `Total_Execution`.
        step_change_pct, step_change_s, step_change_deviations, step_change_steps: a change of step time counts when
            it exceeds a share of the smaller median, seconds and mean absolute deviations, with so many steps on both
            sides.
        slowed_down_pct: share of samples.
    """

    min_sample_coverage_pct: float
    max_sample_gap_s: float
    min_stage_coverage_pct: float
    step_change_pct: float
    step_change_s: float
    step_change_deviations: float
    step_change_steps: int
    slowed_down_pct: float


@dataclass(frozen=True)
class GenerationTimes:
    """A generation that began.

    Attributes:
        number: from 0, in the order of the process.
        counts: it is no warm-up, and ran to its end.
        steps_s: number and inference time in seconds of its complete steps, in order, without the first, which is
            slow for its own reasons, and those that a cache shortened.
    """

    number: int
    counts: bool
    steps_s: list[tuple[int, float]]


@dataclass(frozen=True)
class StepTimeChange:
    """Step time was one thing before `step` and another from there on: both are medians in seconds."""

    step: int
    before_s: float
    after_s: float


@dataclass(frozen=True)
class ExcludedGeneration:
    """A generation that is not among those that figures are made of, and the checks that it does not pass."""

    generation: int
    failed_checks: list[str]


@dataclass(frozen=True)
class Verdict:
    """A verdict; its fields are keys of a trace's quality section.

    Attributes:
        faults: the checks that the case, without the generations that are excluded, does not pass.
        excluded: contaminated generations; none where no clean one that counts would remain.
        step_time_change: the first in a generation that is not excluded.
    """

    failed_checks: list[str]
    excluded: list[ExcludedGeneration]
    step_time_change: StepTimeChange | None


def verdict_on(quality: Mapping[str, Any], generations: Sequence[GenerationTimes], limits: Limits) -> Verdict:
    """The verdict on what was seen.

    A check that the case does not pass because of single generations leaves these out, as long as one that counts
    passes it: a median over a slow and a sound generation describes neither.

    Args:
        quality: figures of a trace's quality section. Without its `parts`, what was seen of the GPU is nobody's.
        generations: all of the process.
    """
    nobodys = {"generation": None, "samples": 1} | {
        key: quality.get(key) for key in ("other_processes", "throttled_pct")
    }
    parts = quality.get("parts") or [nobodys]
    changes = {each.number: step_time_change(each.steps_s, limits) for each in generations}

    def faults_of(numbers: Collection[int | None]) -> list[str]:
        found = ["step_time_changed"] if any(changes.get(number) for number in numbers) else []
        return found + _gpu_faults([part for part in parts if part["generation"] in numbers], limits)

    everything = {None, *changes}
    not_passed = faults_of(everything)
    contaminated = {number: [fault for fault in faults_of([number]) if fault in not_passed] for number in changes}
    one_is_clean = any(each.counts and not contaminated[each.number] for each in generations)
    excluded = {
        number: failed_checks for number, failed_checks in contaminated.items() if failed_checks and one_is_clean
    }
    kept = everything - excluded.keys()
    return Verdict(
        _whole_faults(quality, limits) + faults_of(kept),
        [ExcludedGeneration(number, failed_checks) for number, failed_checks in excluded.items()],
        next((change for number, change in changes.items() if number in kept and change), None),
    )


def step_time_change(steps_s: Sequence[tuple[int, float]], limits: Limits) -> StepTimeChange | None:
    """The place where step time changed most, if it changed by more than noise.

    The split minimises the sum of absolute deviations from the medians on its two sides, which one slow step
    cannot move (least absolute deviations; a single change point).

    Args:
        steps_s: number and duration in seconds of the steps that should take equally long, in order.
    """
    best: tuple[float, int] | None = None
    times_s = [time_s for _, time_s in steps_s]
    for i in range(limits.step_change_steps, len(times_s) - limits.step_change_steps + 1):
        cost = _deviation(times_s[:i]) + _deviation(times_s[i:])
        if best is None or cost < best[0]:
            best = (cost, i)
    if best is None:
        return None
    cost, i = best
    before_s, after_s = statistics.median(times_s[:i]), statistics.median(times_s[i:])
    change_s = abs(after_s - before_s)
    noise_s = cost / len(times_s)
    if change_s < limits.step_change_s or change_s < limits.step_change_deviations * noise_s:
        return None
    if 100 * change_s < limits.step_change_pct * min(before_s, after_s):
        return None
    return StepTimeChange(steps_s[i][0], before_s, after_s)


def _whole_faults(quality: Mapping[str, Any], limits: Limits) -> list[str]:
    """Faults that are of no generation."""
    failed_checks: list[str] = []
    samples_pct, stages_pct = quality["sample_coverage_pct"], quality["stage_coverage_pct"]
    gap_s = quality.get("greatest_sample_gap_s")
    too_few = samples_pct is not None and samples_pct < limits.min_sample_coverage_pct
    if too_few or (gap_s is not None and gap_s > limits.max_sample_gap_s):
        failed_checks.append("sampling_gaps")
    if stages_pct is not None and stages_pct < limits.min_stage_coverage_pct:
        failed_checks.append("unaccounted_time")
    if quality.get("output_finite") is False:
        failed_checks.append("output_not_finite")
    return failed_checks


def _gpu_faults(parts: Sequence[Mapping[str, Any]], limits: Limits) -> list[str]:
    failed_checks = ["other_process"] if any(part["other_processes"] for part in parts) else []
    read = [part for part in parts if part["throttled_pct"]]
    samples = sum(part["samples"] for part in read)
    for reason in SLOWED_DOWN:
        weighted_pct = sum(part["samples"] * part["throttled_pct"].get(reason, 0) for part in read)
        if weighted_pct > limits.slowed_down_pct * samples:
            return [*failed_checks, "slowed_down"]
    return failed_checks


def _deviation(times_s: Sequence[float]) -> float:
    center_s = statistics.median(times_s)
    return sum(abs(time_s - center_s) for time_s in times_s)
