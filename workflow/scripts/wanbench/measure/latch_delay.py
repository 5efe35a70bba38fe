"""Find how long after a latch GPM's counters can be read: it differs from GPU to GPU."""

import math
from dataclasses import replace

from wanbench.measure.intervals import Interval, overlap
from wanbench.measure.samples import Samples, Series

# Values so long before and after the load are compared with it. They are taken up to 0.25 s later.
_AROUND_NS = 250_000_000
_LONGEST_DELAY_MS = 150
_METRIC = "sm_activity_pct"
# Readings of a known load differ from it by 0.6 points where the delay is right (root mean square; an H200), and by
# half a point more for each millisecond that it is wrong.
_MISFIT_POINTS = 3.0
# More delays than those within so much of each other fit equally where the load was hardly seen.
_SPREAD_MS = 20


def placed_by_load(samples: Samples, busy: list[Interval]) -> Samples:
    """The samples with GPM's values at the times at which they fit a load of known times best.

    Least squares of SM activity over delays in steps of a millisecond; the height of the load is free.

    Args:
        busy: the times of the load, sorted and disjoint, monotonic, in nanoseconds; around them the GPU idles.

    Returns:
        The samples as they are, where it is not known when their latches became readable, or where no delay, or more
        than one, fits.
    """
    if not samples.by_gpm or samples.latches is None or not busy:
        return samples
    start_ns, end_ns = busy[0][0] - _AROUND_NS, busy[-1][1] + _AROUND_NS
    near = [
        (time_ns, {_METRIC: values[_METRIC]})
        for time_ns, values in zip(samples.times_ns, samples.values)
        if _METRIC in values and start_ns <= time_ns <= end_ns + _AROUND_NS
    ]
    cut = replace(samples, times_ns=[time_ns for time_ns, _ in near], values=[values for _, values in near])
    misfits = [
        _misfit(replace(cut, latch_delay_ns=ms * 1_000_000).series.get(_METRIC, Series([], [])), busy, end_ns)
        for ms in range(_LONGEST_DELAY_MS + 1)
    ]
    fitting_ms = [ms for ms, misfit in enumerate(misfits) if misfit <= _MISFIT_POINTS]
    # A fit at the edge may go on beyond it.
    if not fitting_ms or {0, _LONGEST_DELAY_MS} & {*fitting_ms} or fitting_ms[-1] - fitting_ms[0] > _SPREAD_MS:
        return samples
    return replace(samples, latch_delay_ns=misfits.index(min(misfits)) * 1_000_000)


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
