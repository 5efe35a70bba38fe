"""Spread that a single odd value does not decide."""

import math
import statistics
from collections.abc import Sequence

# Makes the median absolute deviation of normally distributed values their standard deviation
# (Rousseeuw and Croux 1993, "Alternatives to the Median Absolute Deviation").
_NORMAL = 1.4826
# The median of n normal values varies by this times their standard deviation over sqrt(n), for large n.
_MEDIAN_OVER_MEAN = math.sqrt(math.pi / 2)


def median_absolute_deviation(values: Sequence[float]) -> float:
    """Median distance from the median, in the unit of the values."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def median_error(values: Sequence[float]) -> float | None:
    """Standard error of the median of values, in their unit; None for fewer than two, which have no spread."""
    if len(values) < 2:
        return None
    return _MEDIAN_OVER_MEAN * _NORMAL * median_absolute_deviation(values) / math.sqrt(len(values))


def modified_z_scores(values: Sequence[float]) -> list[float]:
    """How far each value is from the median, in deviations (Iglewicz and Hoaglin 1993); 0 where most are equal."""
    middle, deviation = statistics.median(values), _NORMAL * median_absolute_deviation(values)
    return [(value - middle) / deviation if deviation else 0.0 for value in values]
