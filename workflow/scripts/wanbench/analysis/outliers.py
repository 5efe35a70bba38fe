"""Spread that a single odd value does not decide, and generations that took unlike the others of their case."""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.registry import stages as stage_names

# Of fewer, none can be told from the others.
MIN_GENERATIONS = 3
# Beyond this modified z-score a value is an outlier (Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers").
MAX_Z = 3.5
# Makes the median absolute deviation of normally distributed values their standard deviation
# (Rousseeuw and Croux 1993, "Alternatives to the Median Absolute Deviation").
_NORMAL = 1.4826
# The median of n normal values varies by this times their standard deviation over sqrt(n), for large n.
_MEDIAN_OVER_MEAN = math.sqrt(math.pi / 2)


@dataclass(frozen=True)
class UnusualGeneration:
    """A measured generation, by its number in the process from 0, and how far its time is from the median."""

    number: int
    time_s: float
    z_score: float


def unusual_generations(stages: Sequence[Mapping[str, Any]]) -> list[UnusualGeneration]:
    """Outliers of time among the measured generations that ran to their end, without compilation.

    Args:
        stages: the rows of one case in the stages table.
    """
    exports = [stage for stage in stages if stage["stage"] == stage_names.VIDEO_EXPORT and stage["measured"]]
    times_s = {stage["generation"]: 0.0 for stage in exports if not stage["interrupted"]}
    for stage in stages:
        if stage["generation"] in times_s and stage["stage"] != stage_names.COMPILATION:
            times_s[stage["generation"]] += stage["time_s"]
    if len(times_s) < MIN_GENERATIONS:
        return []
    middle_s, deviation_s = statistics.median(times_s.values()), _NORMAL * _deviation(times_s.values())
    # Where most are equal, none is an outlier.
    scores = {number: (time_s - middle_s) / deviation_s if deviation_s else 0.0 for number, time_s in times_s.items()}
    return [UnusualGeneration(number, times_s[number], z) for number, z in scores.items() if abs(z) > MAX_Z]


def median_error(values: Sequence[float]) -> float | None:
    """Standard error of the median of values, in their unit; None for fewer than two, which have no spread."""
    return _MEDIAN_OVER_MEAN * _NORMAL * _deviation(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _deviation(values: Collection[float]) -> float:
    """Median absolute deviation: the median distance from the median."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)
