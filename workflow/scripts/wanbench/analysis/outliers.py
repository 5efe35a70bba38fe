"""Generations that took unlike the others of their case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.analysis.robust import modified_z_scores
from wanbench.registry import stages as stage_names

# Of fewer, none can be told from the others.
MIN_GENERATIONS = 3
# Beyond this modified z-score a value is an outlier (Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers").
MAX_Z = 3.5


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
    scores = modified_z_scores(list(times_s.values()))
    found = [UnusualGeneration(number, time_s, z) for (number, time_s), z in zip(times_s.items(), scores)]
    return [generation for generation in found if abs(generation.z_score) > MAX_Z]
