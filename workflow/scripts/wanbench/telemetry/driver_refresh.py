"""Find when GPM's counters were published, over a whole case: the host's clock and the driver's do not run alike."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from wanbench.telemetry.counter_refresh import PERIOD_NS

# Two instants agree when they are whole periods apart, up to what each is known to, and to this share of the time
# between them: three times the drift that was seen on two H200 and two H100, of 1 ms in a second.
_APART_NS = 8_000_000
_DRIFT = 0.003
# Further apart than this, drift may add up to half a period, and nobody knows how many publications lie between.
_LONGEST_GAP_NS = 15_000_000_000
# Two instants agree by chance. And where many do not agree with their neighbours, there is no grid.
_FEWEST = 3
_SHARE_THAT_AGREES = 0.75
# An instant is known to 3 ms; a line through so many (about 15 s) to less than one.
_SMOOTHED_OVER = 9


@dataclass(frozen=True)
class Publications:
    """When counters were published.

    Attributes:
        numbers: of some publications, counted from the first of these, rising.
        times_ns: of these, monotonic, in nanoseconds; those between and beyond lie on lines.
    """

    numbers: list[int]
    times_ns: list[float]

    def last_ns(self, taken_ns: int) -> int:
        """When the counters were published that could be read at `taken_ns`."""
        right = min(max(1, bisect_left(self.times_ns, taken_ns)), len(self.times_ns) - 1)
        start_ns = self.times_ns[right - 1]
        period_ns = (self.times_ns[right] - start_ns) / (self.numbers[right] - self.numbers[right - 1])
        return round(start_ns + (taken_ns - start_ns) // period_ns * period_ns)


def publications(found_ns: Sequence[int]) -> Publications | None:
    """The grid on which these instants lie; None where they are too few, too far apart or on no grid.

    Args:
        found_ns: instants of publications, each known to some milliseconds, rising; single ones may be wrong.
    """
    kept = [time_ns for i, time_ns in enumerate(found_ns) if _agrees(found_ns, i)]
    if len(kept) < max(_FEWEST, _SHARE_THAT_AGREES * len(found_ns)):
        return None
    if any(right - left > _LONGEST_GAP_NS for left, right in zip(kept, kept[1:])):
        return None
    numbers = [0]
    for left, right in zip(kept, kept[1:]):
        numbers.append(numbers[-1] + max(1, round((right - left) / PERIOD_NS)))
    return Publications(numbers, _smoothed(numbers, kept))


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
    """Each instant on the line through it and its neighbours."""
    smoothed: list[float] = []
    # Relative to the first: a regression squares them.
    times_ns = [time_ns - found_ns[0] for time_ns in found_ns]
    for i, number in enumerate(numbers):
        first = min(max(0, i - _SMOOTHED_OVER // 2), max(0, len(numbers) - _SMOOTHED_OVER))
        near = slice(first, first + _SMOOTHED_OVER)
        line = linear_regression(numbers[near], times_ns[near])
        smoothed.append(found_ns[0] + line.intercept + line.slope * number)
    return smoothed
