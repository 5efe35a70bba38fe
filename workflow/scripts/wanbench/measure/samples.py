"""Join samples and stages: what did a metric do during a stage?"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

from wanbench.measure.intervals import Interval

# Metrics that cover the time since the sample before; the others hold for the instant of the sample.
INTERVAL_METRICS = ("cpu_pct", "process_cpu_pct")
INSTANT_METRICS = ("sys_mem_bytes", "process_mem_bytes")

# A tick that is this much later than due leaves a gap: the samples on both sides say nothing about it.
_LATE = 1.5


@dataclass(frozen=True)
class Samples:
    """A recording of the sampler.

    Attributes:
        times_ns: monotonic times of the samples, rising.
        values: a reading each; a metric that could not be read is not in it.
        interval_s: time between samples as asked for.
        missed: ticks that were skipped because the one before took too long; None if the sampler did not
            live to say so.
    """

    times_ns: list[int]
    values: list[dict[str, float]]
    interval_s: float
    missed: int | None


def read_samples(records: list[dict[str, Any]], interval_s: float) -> Samples:
    ticks = [record for record in records if "time_ns" in record]
    last = next((record for record in records if "missed" in record), None)
    return Samples(
        [record["time_ns"] for record in ticks],
        [record["values"] for record in ticks],
        interval_s,
        last["missed"] if last else None,
    )


def stage_measures(samples: Samples, intervals: list[Interval]) -> dict[str, float | int]:
    """Sampled measures of a stage, and `samples`, the number of samples taken in it.

    Shares (`_pct`) are means weighted by time, with a sample cut where a border cuts it. Memory is given as its
    highest value, and as `_mean_bytes`. A stage shorter than the sampling interval has none of them: what
    happened inside it was not seen.
    """
    inside = _inside(samples, intervals)
    measures: dict[str, float | int] = {"samples": len(inside)}
    if sum(end - start for start, end in intervals) < samples.interval_s * 1e9:
        return measures
    for metric in INTERVAL_METRICS:
        mean = _weighted_mean(samples, intervals, metric)
        if mean is not None:
            measures[metric] = mean
    for metric in INSTANT_METRICS:
        readings = [samples.values[i][metric] for i in inside if metric in samples.values[i]]
        if readings:
            measures[metric] = max(readings)
            measures[metric.replace("_bytes", "_mean_bytes")] = sum(readings) / len(readings)
    return measures


def coverage(samples: Samples, extent: Interval) -> tuple[float, float]:
    """Share of `extent` that samples cover, in percent, and the greatest gap between samples, in seconds.

    The time from one sample to the next is covered unless it is half an interval longer than asked for. The
    times from the beginning of `extent` to the first sample and from the last to its end are gaps like others.
    """
    start_ns, end_ns = extent
    inside = [time_ns for time_ns in samples.times_ns if start_ns < time_ns < end_ns]
    before = [time_ns for time_ns in samples.times_ns if time_ns <= start_ns][-1:]
    after = [time_ns for time_ns in samples.times_ns if time_ns >= end_ns][:1]
    borders = [*(before or [start_ns]), *inside, *(after or [end_ns])]
    longest_ns = _LATE * samples.interval_s * 1e9
    covered_ns = 0
    for left, right in zip(borders, borders[1:]):
        if right - left <= longest_ns:
            covered_ns += min(right, end_ns) - max(left, start_ns)
    gaps_ns = [right - left for left, right in zip(borders, borders[1:])]
    return 100 * covered_ns / max(1, end_ns - start_ns), max(gaps_ns, default=end_ns - start_ns) / 1e9


def _inside(samples: Samples, intervals: list[Interval]) -> list[int]:
    return [
        i
        for start, end in intervals
        for i in range(bisect_left(samples.times_ns, start), bisect_left(samples.times_ns, end))
    ]


def _weighted_mean(samples: Samples, intervals: list[Interval], metric: str) -> float | None:
    weighted = weight = 0.0
    times_ns = samples.times_ns
    for start, end in intervals:
        # The first sample after the start covers time before and after it.
        for i in range(max(1, bisect_right(times_ns, start)), min(len(times_ns), bisect_left(times_ns, end) + 1)):
            overlap_ns = min(end, times_ns[i]) - max(start, times_ns[i - 1])
            if overlap_ns > 0 and metric in samples.values[i]:
                weighted += samples.values[i][metric] * overlap_ns
                weight += overlap_ns
    return weighted / weight if weight else None
