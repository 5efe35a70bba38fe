"""Join samples and stages: what did a metric do during a stage?"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from wanbench.registry.stage_metrics import HIGHEST, INTERVAL_MEAN, MEAN, POWER_CAP_BIT, SAMPLED, SHORTEST_WITH_ENERGY_S
from wanbench.telemetry import gpm_clock
from wanbench.telemetry.gpm import DRIVER_REFRESH_NS, METRICS
from wanbench.telemetry.nvml import SM_SOURCE_GPM
from wanbench.util.intervals import Interval, total

# A tick that is this much later than due leaves a gap: the samples on both sides say nothing about it.
_LATE = 1.5
# A mean over less of a stage than this does not stand for the stage.
_MIN_SHARE_OF_STAGE = 0.9
# Samples of which a stage is less than this are not of the stage.
_FILLED = 0.9
# Between the pieces of loading the GPU computes: a tenth of that was most of what they were said to have.
_FILLED_BY_LOADING = 0.98
# A stage of which less than this lies in stretches that samples tell apart was not seen.
_MIN_SHARE_SEEN = 0.5


@dataclass(frozen=True)
class Series:
    """The readings of one metric."""

    times_ns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Samples:
    """A recording of the sampler.

    Attributes:
        times_ns: monotonic times of the samples, rising.
        values: a reading each; a metric that could not be read is not in it.
        interval_s: time between samples as asked for.
        missed: ticks that were skipped because the one before took too long; None if the sampler was killed.
        gpu_telemetry: what the GPU's source said of itself, or its error; None without a GPU.
        driver_refreshes, counter_refreshes: of GPM's counters; None where they were not found.
    """

    times_ns: list[int]
    values: list[dict[str, float]]
    interval_s: float
    missed: int | None
    gpu_telemetry: dict[str, Any] | None = None
    driver_refreshes: gpm_clock.DriverRefreshes | None = None
    counter_refreshes: gpm_clock.CounterRefreshes | None = None

    @cached_property
    def series(self) -> dict[str, Series]:
        """Readings by metric, at the times that they speak of: GPM's are of the counter refresh before."""
        found: dict[str, Series] = {}
        for time_ns, reading in zip(self.times_ns, self.values):
            for metric, value in reading.items():
                series = found.setdefault(metric, Series())
                is_late = self.by_gpm and metric in METRICS
                series.times_ns.append(self.counter_refresh_ns(time_ns) if is_late else time_ns)
                series.values.append(value)
        return found

    def inside(self, intervals: Iterable[Interval]) -> list[dict[str, float]]:
        """The readings of the samples that were taken in these intervals."""
        bounds = ((bisect_left(self.times_ns, start), bisect_left(self.times_ns, end)) for start, end in intervals)
        return [values for first, last in bounds for values in self.values[first:last]]

    @property
    def by_gpm(self) -> bool:
        return (self.gpu_telemetry or {}).get("sm_activity_source") == SM_SOURCE_GPM

    def counter_refresh_ns(self, taken_ns: int) -> int:
        """When the counters were refreshed that a GPM sample holds which was taken at this time.

        Where the driver refresh or the counter refresh is not known, it is taken to be in the middle of what it can be,
        and may be wrong by half a period.
        """
        driver, half_ns = self.driver_refreshes, gpm_clock.PERIOD_NS // 2
        handed_out_ns = taken_ns - half_ns if driver is None else driver.last_ns(taken_ns)
        if self.counter_refreshes is None:
            return handed_out_ns - gpm_clock.YOUNGEST_NS - half_ns
        return self.counter_refreshes.last_ns(handed_out_ns)

    @cached_property
    def energy(self) -> Series:
        """The energy counter where it moved: it is renewed every 100 ms, and repeats its value in between."""
        counter = self.series.get("energy_j", Series())
        moved = [i for i, value in enumerate(counter.values) if i == 0 or value != counter.values[i - 1]]
        return Series([counter.times_ns[i] for i in moved], [counter.values[i] for i in moved])


def read_samples(records: list[dict[str, Any]], interval_s: float) -> Samples:
    ticks = [record for record in records if "time_ns" in record]
    of_all = {key: value for record in records if "time_ns" not in record for key, value in record.items()}
    telemetry = of_all.get("gpu_telemetry")
    if of_all.get("gpu_refused"):
        telemetry = telemetry | {"refused": of_all["gpu_refused"]}
    times_ns, values = [record["time_ns"] for record in ticks], [record["values"] for record in ticks]
    found_ns = [reading[DRIVER_REFRESH_NS] for reading in values if DRIVER_REFRESH_NS in reading]
    refreshes = gpm_clock.driver_refreshes(found_ns)
    return Samples(times_ns, values, interval_s, of_all.get("missed"), telemetry, refreshes)


def placed_by_load(samples: Samples, busy: list[Interval]) -> Samples:
    """The samples with GPM's values where they fit a load of known times best; as they were where no place is found."""
    if not samples.by_gpm or samples.driver_refreshes is None or not busy:
        return samples
    taken = zip(samples.times_ns, samples.values)
    readings = [(time_ns, values["sm_activity_pct"]) for time_ns, values in taken if "sm_activity_pct" in values]
    found = gpm_clock.counter_refreshes(readings, samples.driver_refreshes, busy)
    return samples if found is None else replace(samples, counter_refreshes=found)


def stage_measures(samples: Samples, intervals: list[Interval], is_loading: bool = False) -> dict[str, float | int]:
    """Sampled measures of a stage, made as the registry says, and `samples`, the number of samples taken in it.

    A stage of which not enough was seen has no measure, see `was_seen`; energy, and power, whose single readings are
    rough, need stretches of a second.
    """
    inside = samples.inside(intervals)
    measures: dict[str, float | int] = {"samples": len(inside)}
    length_ns = total(intervals)
    filled = _FILLED_BY_LOADING if is_loading else _FILLED
    if not was_seen(intervals, samples.interval_s * 1e9, filled):
        return measures
    for metric in SAMPLED:
        key = metric.reading or metric.key
        readings = [values[key] for values in inside if key in values]
        if metric.over_time == INTERVAL_MEAN and key in samples.series:
            mean, weight_ns = weighted_mean(samples.series[key], intervals)
            if mean is not None and weight_ns >= _MIN_SHARE_OF_STAGE * length_ns:
                measures[metric.key] = mean
        elif metric.over_time == HIGHEST and readings:
            measures[metric.key] = max(readings)
        elif metric.over_time == MEAN and readings:
            measures[metric.key] = sum(readings) / len(readings)
    masks = [int(values["clock_event_reasons"]) for values in inside if "clock_event_reasons" in values]
    if masks:
        measures["power_cap_pct"] = 100 * sum(bool(mask & POWER_CAP_BIT) for mask in masks) / len(masks)
    if "sm_activity_pct" in measures:
        measures["comp_load_pct_s"] = measures["sm_activity_pct"] * length_ns / 1e9
    if not was_seen(intervals, samples.interval_s * 1e9, filled, SHORTEST_WITH_ENERGY_S * 1e9):
        measures.pop("power_w", None)
        return measures
    energy_j = energy_of(samples.energy, intervals)
    return measures if energy_j is None else measures | {"energy_j": energy_j}


def was_seen(intervals: list[Interval], resolution_ns: float, filled: float, least_ns: float = 0.0) -> bool:
    """Whether samples that are `resolution_ns` apart tell what happened in these intervals, and not around them.

    Intervals that are closer together than that are one stretch to the samples. It was seen if it is no shorter than
    that, and than `least_ns`, and so large a share of it is `filled`. Half of the time must lie in such stretches.
    """
    seen_ns = 0
    stretch: list[Interval] = []
    for interval, after in zip(intervals, [*intervals[1:], None]):
        stretch.append(interval)
        if after is not None and after[0] - interval[1] < resolution_ns:
            continue
        filled_ns, length_ns = total(stretch), interval[1] - stretch[0][0]
        if length_ns >= max(resolution_ns, least_ns) and filled_ns >= filled * length_ns:
            seen_ns += filled_ns
        stretch = []
    return seen_ns > 0 and seen_ns >= _MIN_SHARE_SEEN * total(intervals)


def weighted_mean(series: Series, intervals: list[Interval]) -> tuple[float | None, int]:
    """Mean of an interval metric over `intervals`, and the time in nanoseconds that its readings cover of them.

    A reading covers the time since the one before, and is cut at a boundary.
    """
    if not intervals or not series.times_ns:
        return None, 0
    times_ns = np.array(series.times_ns)
    integral = np.append(0.0, np.cumsum(np.diff(times_ns) * series.values[1:]))
    covered_ns = np.clip(intervals, times_ns[0], times_ns[-1])
    weight_ns = int(np.diff(covered_ns).sum())
    weighted = float(np.diff(np.interp(covered_ns, times_ns, integral)).sum())
    return (weighted / weight_ns if weight_ns else None), weight_ns


def energy_of(counter: Series, intervals: list[Interval]) -> float | None:
    """Energy in joules over `intervals`, evenly spent between two counter values; None where these do not span them."""
    times_ns, values = counter.times_ns, counter.values
    if not intervals or len(times_ns) < 2 or intervals[0][0] < times_ns[0] or intervals[-1][1] > times_ns[-1]:
        return None
    return float(np.diff(np.interp(intervals, times_ns, values)).sum())


def coverage(samples: Samples, extent: Interval) -> tuple[float, float]:
    """Share of `extent` that samples cover, in percent, and the greatest gap between samples, in seconds.

    With a GPU that tells it, a sample counts when it has a reading of SM activity. The time between two is covered
    unless it is half an interval longer than asked for.
    """
    start_ns, end_ns = extent
    telemetry = samples.gpu_telemetry or {}
    never_told = "sm_activity_pct" in telemetry.get("refused", {}) and "sm_activity_pct" not in samples.series
    has_gpu = bool(telemetry) and "error" not in telemetry and not never_told
    times_ns = samples.series.get("sm_activity_pct", Series()).times_ns if has_gpu else samples.times_ns
    first, last = bisect_right(times_ns, start_ns), bisect_left(times_ns, end_ns)
    before = times_ns[first - 1 : first] if first else [start_ns]
    after = times_ns[last : last + 1] or [end_ns]
    boundaries_ns = np.array([*before, *times_ns[first:last], *after])
    # A tick that finds nothing new of GPM leaves its time to the next, so two intervals are no gap.
    longest_ns = (_LATE + has_gpu) * samples.interval_s * 1e9
    gaps_ns, inside_ns = np.diff(boundaries_ns), np.diff(np.clip(boundaries_ns, start_ns, end_ns))
    covered_ns = int(inside_ns[gaps_ns <= longest_ns].sum())
    return 100 * covered_ns / max(1, end_ns - start_ns), int(gaps_ns.max()) / 1e9
