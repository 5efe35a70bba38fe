"""What was seen that decides whether the figures of a case can be trusted, and the verdict on it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from wanbench.measure.spans import Stage
from wanbench.registry import stages as stage_names
from wanbench.telemetry.samples import Samples, coverage
from wanbench.trace.verdict import GenerationTimes, Limits, verdict_on
from wanbench.util.intervals import Interval, subtract, union

# NVML's nvmlClocksEventReasons bits, but for an idle GPU's. That clocks were set is a choice, and no failed check.
CLOCK_EVENT_REASONS = {
    "power_cap": 0x4,
    "hardware_slowdown": 0x8,
    "sync_boost": 0x10,
    "thermal_software": 0x20,
    "thermal_hardware": 0x40,
    "power_brake": 0x80,
    "clocks_set": 0x2,
}
# Absent where there is no `Total_Execution` to look at.
_OF_TOTAL = (
    "sample_coverage_pct",
    "greatest_sample_gap_s",
    "stage_coverage_pct",
    "unaccounted_s",
    "throttled_pct",
    "other_processes",
    "other_processes_mem_bytes",
)


def quality_of(
    stages: list[Stage], measured: Mapping[int, bool], samples: Samples, output_finite: bool | None, limits: Limits
) -> dict[str, Any]:
    """The quality section of a trace: figures, and the verdict on them with these limits, which stand beside it.

    Args:
        measured: for each generation, whether it is no warm-up.
    """
    quality: dict[str, Any] = {
        "sampling_interval_s": samples.interval_s,
        "samples": len(samples.times_ns),
        "samples_missed": samples.missed,
        "output_finite": output_finite,
        "parts": [],
    }
    quality |= dict.fromkeys(_OF_TOTAL)
    total = next((stage for stage in stages if stage.name == stage_names.TOTAL_EXECUTION), None)
    if total is not None:
        leaves_ns = sum(stage.time_ns for stage in stages if stage.name not in stage_names.NOT_LEAVES)
        quality["sample_coverage_pct"], quality["greatest_sample_gap_s"] = coverage(samples, total.extent)
        quality["unaccounted_s"] = (total.time_ns - leaves_ns) / 1e9
        quality["stage_coverage_pct"] = 100 * leaves_ns / max(1, total.time_ns)
        quality["throttled_pct"] = _throttled_pct(samples, [total.extent])
        for metric in ("other_processes", "other_processes_mem_bytes"):
            quality[metric] = _highest_in(samples, metric, [total.extent])
        quality["parts"] = _parts(total.extent, stages, samples)
    verdict = verdict_on(quality, _generation_times(stages, measured), limits)
    return quality | verdict | {"limits": asdict(limits)}


def _throttled_pct(samples: Samples, intervals: Collection[Interval]) -> dict[str, float] | None:
    """Share of samples in which each reason held the clocks down, in percent; None where it was not read."""
    masks = [int(mask) for mask in _values_in(samples, "clock_event_reasons", intervals)]
    if not masks:
        return None
    return {
        name: 100 * sum(bool(mask & bit) for mask in masks) / len(masks) for name, bit in CLOCK_EVENT_REASONS.items()
    }


def _parts(total: Interval, stages: list[Stage], samples: Samples) -> list[dict[str, Any]]:
    """What was seen of the GPU outside of all generations, and in each."""
    extents: dict[int, Interval] = {}
    for stage in stages:
        if stage.generation is not None:
            start_ns, end_ns = extents.get(stage.generation, stage.extent)
            extents[stage.generation] = (min(start_ns, stage.extent[0]), max(end_ns, stage.extent[1]))
    outside = subtract([total], union(extents.values()))
    parts: dict[int | None, list[Interval]] = {None: outside} | {number: [each] for number, each in extents.items()}
    return [
        {
            "generation": number,
            "samples": sum(start <= time_ns < end for start, end in intervals for time_ns in samples.times_ns),
            "other_processes": _highest_in(samples, "other_processes", intervals),
            "throttled_pct": _throttled_pct(samples, intervals),
        }
        for number, intervals in parts.items()
    ]


def _values_in(samples: Samples, metric: str, intervals: Collection[Interval]) -> list[float]:
    series = samples.series.get(metric)
    readings = list(zip(series.times_ns, series.values)) if series is not None else []
    return [value for start, end in intervals for time_ns, value in readings if start <= time_ns < end]


def _highest_in(samples: Samples, metric: str, intervals: Collection[Interval]) -> int | None:
    values = _values_in(samples, metric, intervals)
    return int(max(values)) if values else None


def _generation_times(stages: list[Stage], measured: Mapping[int, bool]) -> list[GenerationTimes]:
    ended = {stage.generation for stage in stages if stage.name == stage_names.VIDEO_EXPORT and not stage.interrupted}
    numbers = sorted({stage.generation for stage in stages if stage.generation is not None})
    steps_s: dict[int, list[tuple[int, float]]] = {number: [] for number in numbers}
    for stage in stages:
        step = stage.args.get("step", 0)
        is_later_step = step > 0 and stage.name == stage_names.step_inference(step) and not stage.interrupted
        # A cache that serves makes a step short by design.
        if stage.generation is not None and is_later_step and not stage.args.get("passes_reused"):
            steps_s[stage.generation].append((step, stage.time_ns / 1e9))
    return [GenerationTimes(number, measured[number] and number in ended, steps_s[number]) for number in numbers]
