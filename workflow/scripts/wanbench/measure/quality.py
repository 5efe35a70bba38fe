"""What was seen that decides whether the figures of a case can be trusted, and the verdict on it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from wanbench.measure.spans import Stage
from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import POWER_CAP_BIT
from wanbench.telemetry.samples import Samples, coverage
from wanbench.trace.verdict import Limits, generation_times, verdict_on
from wanbench.util.intervals import Interval, subtract, union

# NVML's nvmlClocksEventReasons bits, but for an idle GPU's. That clocks were set is a choice, and no failed check.
CLOCK_EVENT_REASONS = {
    "power_cap": POWER_CAP_BIT,
    "hardware_slowdown": 0x8,
    "sync_boost": 0x10,
    "thermal_software": 0x20,
    "thermal_hardware": 0x40,
    "power_brake": 0x80,
    "clocks_set": 0x2,
}


def quality_of(
    stages: list[Stage], measured: Mapping[int, bool], samples: Samples, output_finite: bool | None, limits: Limits
) -> dict[str, Any]:
    """The quality section of a trace: figures, and the verdict on them with these limits, which stand beside it."""
    total = next((stage for stage in stages if stage.name == stage_names.TOTAL_EXECUTION), None)
    leaves_ns = sum(stage.time_ns for stage in stages if stage.name not in stage_names.NOT_LEAVES)
    whole = [total.extent] if total else []
    coverage_pct, gap_s = coverage(samples, total.extent) if total else (None, None)
    quality = {
        "sampling_interval_s": samples.interval_s,
        "samples": len(samples.times_ns),
        "samples_missed": samples.missed,
        "output_finite": output_finite,
        "parts": _parts(total.extent, stages, samples) if total else [],
        "sample_coverage_pct": coverage_pct,
        "greatest_sample_gap_s": gap_s,
        "stage_coverage_pct": 100 * leaves_ns / max(1, total.time_ns) if total else None,
        "unaccounted_s": (total.time_ns - leaves_ns) / 1e9 if total else None,
        "throttled_pct": _throttled_pct(samples, whole),
    }
    quality |= {key: _highest_in(samples, key, whole) for key in ("other_processes", "other_processes_mem_bytes")}
    times = generation_times(
        (stage.name, stage.generation, measured.get(stage.generation, True), stage.measures) for stage in stages
    )
    return quality | verdict_on(quality, times, limits) | {"limits": asdict(limits)}


def _throttled_pct(samples: Samples, intervals: Collection[Interval]) -> dict[str, float] | None:
    """Share of samples in which each reason held the clocks down, in percent; None where it was not read."""
    masks = [int(mask) for mask in _values_in(samples, "clock_event_reasons", intervals)]
    shares = {name: [bool(mask & bit) for mask in masks] for name, bit in CLOCK_EVENT_REASONS.items()}
    return {name: 100 * sum(held) / len(masks) for name, held in shares.items()} if masks else None


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
            "samples": len(samples.inside(intervals)),
            "other_processes": _highest_in(samples, "other_processes", intervals),
            "throttled_pct": _throttled_pct(samples, intervals),
        }
        for number, intervals in parts.items()
    ]


def _values_in(samples: Samples, metric: str, intervals: Collection[Interval]) -> list[float]:
    return [reading[metric] for reading in samples.inside(intervals) if metric in reading]


def _highest_in(samples: Samples, metric: str, intervals: Collection[Interval]) -> int | None:
    values = _values_in(samples, metric, intervals)
    return int(max(values)) if values else None
