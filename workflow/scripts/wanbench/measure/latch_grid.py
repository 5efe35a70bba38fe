"""Find when GPM's latches became readable, over a whole case: the host's clock and the GPU's do not run alike."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from wanbench.measure.telemetry.gpm import LATCH_PERIOD_S

_PERIOD_NS = round(LATCH_PERIOD_S * 1e9)
# Two instants agree when they are whole periods apart, up to what each is known to, and to this share of the time
# between them: three times the drift that was seen on two H200, of 1 ms in a second.
_APART_NS = 8_000_000
_DRIFT = 0.003
# Further apart than this, drift may add up to half a period, and nobody knows how many latches lie between.
_LONGEST_GAP_NS = 15_000_000_000
# Two instants agree by chance. And where many do not agree with their neighbours, there is no grid.
_FEWEST = 3
_SHARE_THAT_AGREES = 0.75
# An instant is known to 3 ms; a line through so many (about 15 s) to less than one.
_SMOOTHED_OVER = 9


@dataclass(frozen=True)
class LatchGrid:
    """When latches became readable.

    Attributes:
        numbers: of some latches, counted from the first of these, rising.
        readable_ns: when they became readable, monotonic, in nanoseconds; those between and beyond lie on lines.
    """

    numbers: list[int]
    readable_ns: list[float]

    def last_readable_ns(self, time_ns: int) -> int:
        """When the latch became readable that could be read at `time_ns`."""
        right = min(max(1, bisect_left(self.readable_ns, time_ns)), len(self.readable_ns) - 1)
        start_ns = self.readable_ns[right - 1]
        period_ns = (self.readable_ns[right] - start_ns) / (self.numbers[right] - self.numbers[right - 1])
        return round(start_ns + (time_ns - start_ns) // period_ns * period_ns)


def latch_grid(readable_ns: Sequence[int]) -> LatchGrid | None:
    """The grid on which these instants lie; None where they are too few, too far apart or on no grid.

    Args:
        readable_ns: instants at which a latch became readable, each known to some milliseconds, rising; single ones
            may be wrong.
    """
    kept = [time_ns for i, time_ns in enumerate(readable_ns) if _agrees(readable_ns, i)]
    if len(kept) < max(_FEWEST, _SHARE_THAT_AGREES * len(readable_ns)):
        return None
    if any(right - left > _LONGEST_GAP_NS for left, right in zip(kept, kept[1:])):
        return None
    numbers = [0]
    for left, right in zip(kept, kept[1:]):
        numbers.append(numbers[-1] + max(1, round((right - left) / _PERIOD_NS)))
    return LatchGrid(numbers, _smoothed(numbers, kept))


def _agrees(readable_ns: Sequence[int], i: int) -> bool:
    """Whether an instant is whole periods away from most of the two before and the two after it."""
    near = [*readable_ns[max(0, i - 2) : i], *readable_ns[i + 1 : i + 3]]
    agreeing = 0
    for other_ns in near:
        apart_ns = abs(other_ns - readable_ns[i])
        off_ns = abs(apart_ns - round(apart_ns / _PERIOD_NS) * _PERIOD_NS)
        agreeing += off_ns <= _APART_NS + _DRIFT * apart_ns
    return 2 * agreeing >= len(near) > 0


def _smoothed(numbers: list[int], readable_ns: list[int]) -> list[float]:
    """Each instant on the line through it and its neighbours."""
    smoothed: list[float] = []
    # Relative to the first: a regression squares them.
    times_ns = [time_ns - readable_ns[0] for time_ns in readable_ns]
    for i, number in enumerate(numbers):
        first = min(max(0, i - _SMOOTHED_OVER // 2), max(0, len(numbers) - _SMOOTHED_OVER))
        near = slice(first, first + _SMOOTHED_OVER)
        line = linear_regression(numbers[near], times_ns[near])
        smoothed.append(readable_ns[0] + line.intercept + line.slope * number)
    return smoothed
