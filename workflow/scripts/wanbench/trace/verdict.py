"""Can the figures of a case be trusted? What was seen stands in its trace; limits decide.

The measure wing uses this for the trace, the report wing with the limits in force when the report is made.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wanbench.registry.stages import VIDEO_EXPORT, step_inference

# The power cap is how a GPU under full load is run; these say that the machine keeps it from its own speed.
SLOWED_DOWN = ("hardware_slowdown", "thermal_software", "thermal_hardware", "power_brake")


@dataclass(frozen=True)
class Limits:
    """When a check fails, by the keys of config/thresholds.yaml, which says what each is and why."""

    min_sample_coverage_pct: float
    max_sample_gap_s: float
    min_stage_coverage_pct: float
    step_change_pct: float
    step_change_s: float
    step_change_deviations: float
    step_change_steps: int
    slowed_down_pct: float


@dataclass
class GenerationTimes:
    """A generation that began, by its number from 0 in the order of the process.

    Attributes:
        is_measured: it is no warm-up, and ran to its end.
        steps_s: number and inference time in seconds of its complete steps, in order, without the first and those that
            a cache shortened: both are by design unlike the others.
    """

    number: int
    is_measured: bool = False
    steps_s: list[tuple[int, float]] = field(default_factory=list)


def generation_times(stages: Iterable[tuple[str, int | None, bool, Mapping[str, Any]]]) -> list[GenerationTimes]:
    """The generations of a process, in order; a stage is name, generation, whether that is measured, and measures."""
    found: dict[int, GenerationTimes] = {}
    for name, number, is_measured, measures in stages:
        times = found.setdefault(number, GenerationTimes(number))
        step = measures.get("step", 0)
        if measures.get("interrupted"):
            continue
        times.is_measured |= is_measured and name == VIDEO_EXPORT
        if step > 0 and name == step_inference(step) and not measures.get("passes_reused"):
            times.steps_s.append((step, measures["time_s"]))
    return [found[number] for number in sorted(found.keys() - {None})]


def verdict_on(quality: Mapping[str, Any], generations: Sequence[GenerationTimes], limits: Limits) -> dict[str, Any]:
    """The verdict on what was seen, by keys of a trace's quality section.

    Generations because of which the case fails a check are excluded, as long as a measured one passes it: a median over
    a slow and a sound generation describes neither. `failed_checks` are those of the case without them, and
    `step_time_change` is the first in a generation that is not excluded.

    Without `parts` in the quality section, what was seen is of no generation.
    """
    seen = {key: quality.get(key) for key in ("other_processes", "throttled_pct")}
    parts = quality.get("parts") or [{"generation": None, "samples": 1} | seen]
    changes = {each.number: step_time_change(each.steps_s, limits) for each in generations}

    def failed_in(numbers: Collection[int | None]) -> list[str]:
        found = ["step_time_changed"] if any(changes.get(number) for number in numbers) else []
        return found + _failed_on_gpu([part for part in parts if part["generation"] in numbers], limits)

    everything = {None, *changes}
    failed = failed_in(everything)
    failed_by = {number: [check for check in failed_in([number]) if check in failed] for number in changes}
    one_is_sound = any(each.is_measured and not failed_by[each.number] for each in generations)
    excluded = {number: checks for number, checks in failed_by.items() if checks and one_is_sound}
    return {
        "failed_checks": _failed_by_whole(quality, limits) + failed_in(everything - excluded.keys()),
        "excluded": [{"generation": number, "failed_checks": checks} for number, checks in excluded.items()],
        "step_time_change": next((changes[each] for each in changes if each not in excluded and changes[each]), None),
    }


def step_time_change(steps_s: Sequence[tuple[int, float]], limits: Limits) -> dict[str, float] | None:
    """The step from which on step time was another, with the medians in seconds before and after; None for noise.

    The split minimises the sum of absolute deviations from the medians on its two sides, which one slow step
    cannot move (least absolute deviations; a single change point).

    Args:
        steps_s: number and duration in seconds of the steps that should take equally long, in order.
    """
    times_s = [time_s for _, time_s in steps_s]
    splits = range(limits.step_change_steps, len(times_s) - limits.step_change_steps + 1)
    if not splits:
        return None
    cost, i = min((_deviation(times_s[:i]) + _deviation(times_s[i:]), i) for i in splits)
    before_s, after_s = statistics.median(times_s[:i]), statistics.median(times_s[i:])
    noise_s = cost / len(times_s)
    least_s = (
        limits.step_change_s,
        limits.step_change_deviations * noise_s,
        limits.step_change_pct / 100 * min(before_s, after_s),
    )
    if abs(after_s - before_s) < max(least_s):
        return None
    return {"step": steps_s[i][0], "before_s": before_s, "after_s": after_s}


def _failed_by_whole(quality: Mapping[str, Any], limits: Limits) -> list[str]:
    """Failed checks that are of no generation."""
    samples_pct, stages_pct = quality["sample_coverage_pct"], quality["stage_coverage_pct"]
    gap_s = quality.get("greatest_sample_gap_s")
    too_few = samples_pct is not None and samples_pct < limits.min_sample_coverage_pct
    failed = {
        "sampling_gaps": too_few or (gap_s is not None and gap_s > limits.max_sample_gap_s),
        "unaccounted_time": stages_pct is not None and stages_pct < limits.min_stage_coverage_pct,
        "output_not_finite": quality.get("output_finite") is False,
    }
    return [check for check, has_failed in failed.items() if has_failed]


def _failed_on_gpu(parts: Sequence[Mapping[str, Any]], limits: Limits) -> list[str]:
    read = [part for part in parts if part["throttled_pct"]]
    samples = sum(part["samples"] for part in read)
    slowed_pct = [
        sum(part["samples"] * part["throttled_pct"].get(reason, 0) for part in read) for reason in SLOWED_DOWN
    ]
    failed = {
        "other_process": any(part["other_processes"] for part in parts),
        "slowed_down": any(weighted_pct > limits.slowed_down_pct * samples for weighted_pct in slowed_pct),
    }
    return [check for check, has_failed in failed.items() if has_failed]


def _deviation(times_s: Sequence[float]) -> float:
    center_s = statistics.median(times_s)
    return sum(abs(time_s - center_s) for time_s in times_s)
