"""Can the figures of a case be trusted? Numbers, and a verdict."""

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from wanbench.measure.intervals import Interval
from wanbench.measure.samples import Samples, Series, coverage
from wanbench.measure.spans import Stage
from wanbench.trace import names

MIN_SAMPLE_COVERAGE_PCT = 99.0  # below it, sampled measures describe something else than the case
MIN_STAGE_COVERAGE_PCT = 99.0  # more than 1 % of a case without a name hides what takes the time

# A change of step time counts when it exceeds all three: clocks and temperature alone stay within them.
MIN_CHANGE_RATIO = 1.10
MIN_CHANGE_S = 0.05
MIN_CHANGE_DEVIATIONS = 3.0
_MIN_STEPS_EACH_SIDE = 3


# NVML's nvmlClocksEventReasons bits. An idle GPU and clocks set by somebody are not throttling.
CLOCK_EVENT_REASONS = {
    "power_cap": 0x4,
    "hardware_slowdown": 0x8,
    "sync_boost": 0x10,
    "thermal_software": 0x20,
    "thermal_hardware": 0x40,
    "power_brake": 0x80,
}
# The power cap is how a GPU under full load is run; the others say that the machine keeps it from its own speed.
_SLOWED_DOWN = ("hardware_slowdown", "thermal_software", "thermal_hardware", "power_brake")
MIN_SLOWED_DOWN_PCT = 1.0


@dataclass(frozen=True)
class StepTimeChange:
    """Step time was one thing before `step` and another from there on: both are medians in seconds."""

    step: int
    before_s: float
    after_s: float


def step_time_change(steps_s: list[tuple[int, float]]) -> StepTimeChange | None:
    """The place where step time changed most, if it changed by more than noise.

    The split minimises the sum of absolute deviations from the medians on its two sides, which one slow step
    cannot move (least absolute deviations; a single change point).

    Args:
        steps_s: number and duration in seconds of the steps that should take equally long, in order.
    """
    best: tuple[float, int] | None = None
    times_s = [time_s for _, time_s in steps_s]
    for i in range(_MIN_STEPS_EACH_SIDE, len(times_s) - _MIN_STEPS_EACH_SIDE + 1):
        cost = _deviation(times_s[:i]) + _deviation(times_s[i:])
        if best is None or cost < best[0]:
            best = (cost, i)
    if best is None:
        return None
    cost, i = best
    before_s, after_s = statistics.median(times_s[:i]), statistics.median(times_s[i:])
    change_s = abs(after_s - before_s)
    noise_s = cost / len(times_s)
    if change_s < MIN_CHANGE_S or change_s < MIN_CHANGE_DEVIATIONS * noise_s:
        return None
    if max(before_s, after_s) < MIN_CHANGE_RATIO * min(before_s, after_s):
        return None
    return StepTimeChange(steps_s[i][0], before_s, after_s)


def judge(stages: list[Stage], samples: Samples, output_finite: bool | None) -> dict[str, Any]:
    """The quality section of a trace. `faults` is empty when every check that could be made was passed."""
    total = next((stage for stage in stages if stage.name == names.TOTAL_EXECUTION), None)
    quality: dict[str, Any] = {
        "sampling_interval_s": samples.interval_s,
        "samples": len(samples.times_ns),
        "samples_missed": samples.missed,
        "sample_coverage_pct": None,
        "greatest_sample_gap_s": None,
        "stage_coverage_pct": None,
        "unaccounted_s": None,
        "step_time_change": None,
        "output_finite": output_finite,
        "throttled_pct": None,
        "foreign_processes": None,
        "foreign_mem_bytes": None,
    }
    if total is not None:
        covered_pct, gap_s = coverage(samples, total.extent)
        leaves_ns = sum(stage.time_ns for stage in stages if stage.name not in names.NOT_LEAVES)
        quality["sample_coverage_pct"], quality["greatest_sample_gap_s"] = covered_pct, gap_s
        quality["unaccounted_s"] = (total.time_ns - leaves_ns) / 1e9
        quality["stage_coverage_pct"] = 100 * leaves_ns / max(1, total.time_ns)
        quality["throttled_pct"] = throttled_pct(samples.series.get("clock_event_reasons"), total.extent)
        quality["foreign_processes"] = _highest_in(samples.series.get("foreign_processes"), total.extent)
        quality["foreign_mem_bytes"] = _highest_in(samples.series.get("foreign_mem_bytes"), total.extent)
    change = _change_in_any_generation(stages)
    quality["step_time_change"] = asdict(change) if change else None
    quality["faults"] = _faults(quality)
    return quality


def throttled_pct(reasons: Series | None, extent: Interval) -> dict[str, float] | None:
    """Share of samples in which each reason held the clocks down, in percent; None where it was not read."""
    masks = _values_in(reasons, extent)
    if not masks:
        return None
    return {
        name: 100 * sum(bool(int(mask) & bit) for mask in masks) / len(masks)
        for name, bit in CLOCK_EVENT_REASONS.items()
    }


def _values_in(series: Series | None, extent: Interval) -> list[float]:
    if series is None:
        return []
    start, end = extent
    return [value for time_ns, value in zip(series.times_ns, series.values) if start <= time_ns < end]


def _highest_in(series: Series | None, extent: Interval) -> int | None:
    values = _values_in(series, extent)
    return int(max(values)) if values else None


def _faults(quality: dict[str, Any]) -> list[str]:
    faults: list[str] = []
    if quality["sample_coverage_pct"] is not None and quality["sample_coverage_pct"] < MIN_SAMPLE_COVERAGE_PCT:
        faults.append("sampling_gaps")
    if quality["stage_coverage_pct"] is not None and quality["stage_coverage_pct"] < MIN_STAGE_COVERAGE_PCT:
        faults.append("unaccounted_time")
    if quality["step_time_change"] is not None:
        faults.append("step_time_changed")
    if quality["output_finite"] is False:
        faults.append("output_not_finite")
    if quality["foreign_processes"]:
        faults.append("foreign_process")
    if any((quality["throttled_pct"] or {}).get(reason, 0) > MIN_SLOWED_DOWN_PCT for reason in _SLOWED_DOWN):
        faults.append("slowed_down")
    return faults


def _change_in_any_generation(stages: list[Stage]) -> StepTimeChange | None:
    """Over the inference times of each generation but for its first step, which is slow for its own reasons."""
    generations = sorted({stage.generation for stage in stages if stage.generation is not None})
    for generation in generations:
        steps_s = [
            (stage.args["step"], stage.time_ns / 1e9)
            for stage in stages
            if stage.generation == generation
            and stage.args.get("step", 0) > 0
            and stage.name == names.step_inference(stage.args["step"])
            and not stage.interrupted
        ]
        change = step_time_change(steps_s)
        if change is not None:
            return change
    return None


def _deviation(times_s: list[float]) -> float:
    center_s = statistics.median(times_s)
    return sum(abs(time_s - center_s) for time_s in times_s)
