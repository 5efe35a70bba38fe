"""Find when GPM's counters were latched, from a load of known times: where on its grid the GPU's clock stands."""

import math
from dataclasses import replace

from wanbench.telemetry.counter_refresh import PERIOD_NS, Latches
from wanbench.telemetry.gpm import LATCH_TO_PUBLISHED_S
from wanbench.telemetry.samples import Samples, Series
from wanbench.util.intervals import Interval, overlap

# Values so long before and after the load are compared with it. They are published up to 0.25 s later.
_AROUND_NS = 250_000_000
_PERIOD_MS = PERIOD_NS // 1_000_000
_METRIC = "sm_activity_pct"
# Where latches are about as old as they must be to be published, a few milliseconds decide which of two is.
_YOUNGEST_MS = tuple(round(LATCH_TO_PUBLISHED_S * 1e3) + change for change in (0, -8, 8))
# Readings of a known load differ from it by 0.6 points where the latches are right (root mean square; an H200), and by
# half a point more for each millisecond that they are wrong.
_MISFIT_POINTS = 3.0
# More phases than those within so much of the best fit equally where the load was hardly seen.
_SPREAD_MS = 10


def placed_by_load(samples: Samples, busy: list[Interval]) -> Samples:
    """The samples with GPM's values at the times at which they fit a load of known times best.

    Least squares of SM activity over all phases of the latches, in steps of a millisecond; the height of the load is
    free. The GPU's clock and the host's run apart by up to 0.05 ms in a second, and so much more wrong is what was long
    before: 5 ms for every 100 s.

    Args:
        busy: the times of the load, sorted and disjoint, monotonic, in nanoseconds; around them the GPU idles.

    Returns:
        The samples as they are, where it is not known when their counters were published, or where no phase, or more
        than one, fits.
    """
    if not samples.by_gpm or samples.published is None or not busy:
        return samples
    start_ns, end_ns = busy[0][0] - _AROUND_NS, busy[-1][1] + _AROUND_NS
    near = [
        (time_ns, {_METRIC: values[_METRIC]})
        for time_ns, values in zip(samples.times_ns, samples.values)
        if _METRIC in values and start_ns <= time_ns <= end_ns + _AROUND_NS
    ]
    cut = replace(samples, times_ns=[time_ns for time_ns, _ in near], values=[values for _, values in near])
    misfits = {
        (youngest_ms, phase_ms): _misfit(_series(cut, _latches(busy, youngest_ms, phase_ms)), busy, end_ns)
        for youngest_ms in _YOUNGEST_MS
        for phase_ms in range(_PERIOD_MS)
    }
    best = min(misfits, key=misfits.__getitem__)
    fitting_ms = [phase_ms for (_, phase_ms), misfit in misfits.items() if misfit <= _MISFIT_POINTS]
    if not fitting_ms or max(_apart_ms(phase_ms, best[1]) for phase_ms in fitting_ms) > _SPREAD_MS:
        return samples
    return replace(samples, latches=_latches(busy, *best))


def _latches(busy: list[Interval], youngest_ms: int, phase_ms: int) -> Latches:
    return Latches(busy[0][0] + phase_ms * 1_000_000, youngest_ms * 1_000_000)


def _series(samples: Samples, latches: Latches) -> Series:
    return replace(samples, latches=latches).series.get(_METRIC, Series([], []))


def _apart_ms(left: int, right: int) -> int:
    """How far two phases are from each other, the shorter way round."""
    apart = abs(left - right)
    return min(apart, _PERIOD_MS - apart)


def _misfit(series: Series, busy: list[Interval], end_ns: int) -> float:
    """Root mean square of what readings and the load at its best height differ by; infinite where none saw it."""
    loads = [
        (value, overlap((left, right), busy) / (right - left))
        for left, right, value in zip(series.times_ns, series.times_ns[1:], series.values[1:])
        if right > left and right <= end_ns
    ]
    seen = sum(share * share for _, share in loads)
    height_pct = sum(value * share for value, share in loads) / seen if seen else 0.0
    if height_pct < 1:
        return math.inf
    return math.sqrt(sum((value - height_pct * share) ** 2 for value, share in loads) / len(loads))
