"""To which time a GPM value belongs.

Seen on two H200 and two H100 (driver 580): the GPU refreshes its counters every 100.00 ms of the host's monotonic clock
(to 0.005 ms), and the driver hands out the last ones every 100.04 to 100.1 ms, on a clock of its own. So counters are
18 to 118 ms old at a driver refresh, half a millisecond older each second, and up to 100 ms older when they are read:

    counter refresh               counter refresh               counter refresh
      |-----------------------------|-----------------------------|
              driver refresh                driver refresh
                  |------------------------------|
                                 ^ sample: of the first counter refresh

A value is of the time between two counter refreshes. Those of the driver are found over a whole case, from instants
that probes found (`wanbench.telemetry.gpm`); the phase of the counters' from a load of known times.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import linear_regression

from wanbench.telemetry.gpm import PERIOD_S
from wanbench.util.intervals import Interval, overlap

PERIOD_NS = round(PERIOD_S * 1e9)
# Younger counters are left to the next driver refresh. Ages of 16 to 122 ms were seen (H100), each to some 5 ms.
YOUNGEST_NS = 18_000_000

# Two instants agree when they are whole periods apart, up to what each is known to, and to this share of the time
# between them: three times the drift that was seen on two H200 and two H100, of 1 ms in a second.
_APART_NS = 8_000_000
_DRIFT = 0.003
# Further apart than this, drift may add up to half a period, and nobody knows how many refreshes lie between.
_LONGEST_GAP_NS = 15_000_000_000
# Two instants agree by chance. And where many do not agree with those around them, there is no grid.
_FEWEST = 3
_SHARE_THAT_AGREES = 0.75
# An instant is known to 3 ms; a line through so many (about 15 s) to less than one.
_SMOOTHED_OVER = 9

# Values so long before and after the load are compared with it. They are handed out up to 0.25 s later.
_AROUND_NS = 250_000_000
_MS = 1_000_000
# Where counters are about as old as they must be to be handed out, a few milliseconds decide which of two are.
_AGES_NS = tuple(YOUNGEST_NS + change_ms * _MS for change_ms in (0, -8, 8))
# Readings of a known load differ from it by 0.6 points where the phase is right (root mean square; an H200), and by
# half a point more for each millisecond that it is wrong.
_MISFIT_POINTS = 3.0
# More phases than those within so much of the best fit equally where the load was hardly seen.
_SPREAD_NS = 10 * _MS


@dataclass(frozen=True)
class DriverRefreshes:
    """When the driver refreshed the counters that it hands out, as numbers and monotonic times of some refreshes.

    Those between and beyond lie on lines.
    """

    numbers: list[int]
    times_ns: list[float]

    def last_ns(self, taken_ns: int) -> int:
        """The last driver refresh before `taken_ns`."""
        right = min(max(1, bisect_left(self.times_ns, taken_ns)), len(self.times_ns) - 1)
        start_ns = self.times_ns[right - 1]
        period_ns = (self.times_ns[right] - start_ns) / (self.numbers[right] - self.numbers[right - 1])
        return round(start_ns + (taken_ns - start_ns) // period_ns * period_ns)


@dataclass(frozen=True)
class CounterRefreshes:
    """When the GPU refreshed its counters: at `one_ns`, monotonic, and all that is whole periods away from it."""

    one_ns: int
    # The age from which on counters are handed out.
    youngest_ns: int

    def last_ns(self, driver_refresh_ns: int) -> int:
        """When the counters were refreshed that the driver refresh handed out."""
        return self.one_ns + (driver_refresh_ns - self.youngest_ns - self.one_ns) // PERIOD_NS * PERIOD_NS


def driver_refreshes(found_ns: Sequence[int]) -> DriverRefreshes | None:
    """The grid on which these instants lie, rising; None where they are too few, too far apart or on no grid.

    Each is known to some milliseconds, and single ones may be wrong.
    """
    kept = [time_ns for i, time_ns in enumerate(found_ns) if _agrees(found_ns, i)]
    if len(kept) < max(_FEWEST, _SHARE_THAT_AGREES * len(found_ns)):
        return None
    if any(right - left > _LONGEST_GAP_NS for left, right in zip(kept, kept[1:])):
        return None
    between = (max(1, round((right - left) / PERIOD_NS)) for left, right in zip(kept, kept[1:]))
    numbers = list(accumulate(between, initial=0))
    return DriverRefreshes(numbers, _smoothed(numbers, kept))


def _agrees(found_ns: Sequence[int], i: int) -> bool:
    """Whether an instant is whole periods away from most of the two before and the two after it."""
    near = [*found_ns[max(0, i - 2) : i], *found_ns[i + 1 : i + 3]]
    agreeing = 0
    for other_ns in near:
        apart_ns = abs(other_ns - found_ns[i])
        off_ns = abs(apart_ns - round(apart_ns / PERIOD_NS) * PERIOD_NS)
        agreeing += off_ns <= _APART_NS + _DRIFT * apart_ns
    return 2 * agreeing >= len(near) > 0


def _smoothed(numbers: list[int], found_ns: list[int]) -> list[float]:
    """Each instant on the line through it and those around it."""
    smoothed: list[float] = []
    # Relative to the first: a regression squares them.
    times_ns = [time_ns - found_ns[0] for time_ns in found_ns]
    for i, number in enumerate(numbers):
        first = min(max(0, i - _SMOOTHED_OVER // 2), max(0, len(numbers) - _SMOOTHED_OVER))
        near = slice(first, first + _SMOOTHED_OVER)
        line = linear_regression(numbers[near], times_ns[near])
        smoothed.append(found_ns[0] + line.intercept + line.slope * number)
    return smoothed


def counter_refreshes(
    readings: Sequence[tuple[int, float]], driver: DriverRefreshes, busy: Sequence[Interval]
) -> CounterRefreshes | None:
    """The phase of the counters' clock at which readings of SM activity fit a load of known times best.

    Least squares over all phases in steps of a millisecond; the height of the load is free. The GPU's clock and the
    host's run apart by up to 0.05 ms in a second, and so much more wrong is what was long before: 5 ms for every 100 s.

    Args:
        readings: when each was taken, monotonic, in nanoseconds, and its value in percent.
        busy: the times of the load, sorted and disjoint, monotonic, in nanoseconds; around them the GPU idles.

    Returns:
        The phase; None where none fits, or more than one.
    """
    start_ns, end_ns = busy[0][0] - _AROUND_NS, busy[-1][1] + _AROUND_NS
    # Taken up to so much later than the time that they belong to.
    near = [(driver.last_ns(at_ns), value) for at_ns, value in readings if start_ns <= at_ns <= end_ns + _AROUND_NS]
    phases = [CounterRefreshes(busy[0][0] + n * _MS, age_ns) for age_ns in _AGES_NS for n in range(PERIOD_NS // _MS)]
    misfits = {phase: _misfit(near, busy, end_ns, phase) for phase in phases}
    best = min(misfits, key=misfits.__getitem__)
    apart_ns = [abs(each.one_ns - best.one_ns) for each, misfit in misfits.items() if misfit <= _MISFIT_POINTS]
    # The shorter way round.
    if not apart_ns or max(min(each, PERIOD_NS - each) for each in apart_ns) > _SPREAD_NS:
        return None
    return best


def _misfit(near: list[tuple[int, float]], busy: Sequence[Interval], end_ns: int, phase: CounterRefreshes) -> float:
    """Root mean square of what readings and the load at its best height differ by; infinite where none saw it."""
    times_ns = [phase.last_ns(driver_ns) for driver_ns, _ in near]
    loads = [
        (value, overlap((left, right), busy) / (right - left))
        for left, right, (_, value) in zip(times_ns, times_ns[1:], near[1:])
        if right > left and right <= end_ns
    ]
    seen = sum(share * share for _, share in loads)
    height_pct = sum(value * share for value, share in loads) / seen if seen else 0.0
    if height_pct < 1:
        return math.inf
    return math.sqrt(sum((value - height_pct * share) ** 2 for value, share in loads) / len(loads))
