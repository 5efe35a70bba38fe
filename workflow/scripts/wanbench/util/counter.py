"""A counter that only grows and is read now and then."""

from bisect import bisect_left
from collections.abc import Sequence


def growth(times: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    """How much the counter grew from `start` to `end`, in its own unit; None where its readings do not span them.

    Between two readings it is taken to grow evenly.

    Args:
        times: of the readings at which its value had moved, rising, in the unit of `start` and `end`.
        values: what was read then, as many.
    """
    if len(times) < 2 or start < times[0] or end > times[-1]:
        return None
    return _at(times, values, end) - _at(times, values, start)


def _at(times: Sequence[float], values: Sequence[float], time: float) -> float:
    i = max(1, bisect_left(times, time))
    share = (time - times[i - 1]) / (times[i] - times[i - 1])
    return values[i - 1] + share * (values[i] - values[i - 1])
