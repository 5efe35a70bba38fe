"""What each of several ways to make the same video is best at."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from wanbench.analysis.choices import Choice

_LEAST_MEMORY = "least memory (allocated)"
_LEAST = {"fastest": "time_s", _LEAST_MEMORY: "peak_bytes", "least energy": "energy_j"}


def marks_of(choices: Sequence[Choice], alike_memory_pct: float, alike_generation_pct: float) -> list[list[str]]:
    """What each choice is best at among all; of what only one was measured for, none is best, nor is one alone.

    Args:
        alike_memory_pct: peaks that differ by no more are the same memory: settings that save so little are no choice.
        alike_generation_pct: times and energies that differ by no more are those of equal cases.
    """
    within_memory, within_time = 1 + alike_memory_pct / 100, 1 + alike_generation_pct / 100
    marks: list[list[str]] = [[] for _ in choices]
    for mark, figure in _LEAST.items():
        values = _figures(choices, figure)
        if np.count_nonzero(~np.isnan(values)) > 1:
            most = np.nanmin(values) * (within_memory if mark == _LEAST_MEMORY else within_time)
            for i in np.flatnonzero(values <= most):
                marks[i].append(mark)
    if sum(choice.fits for choice in choices) > 1:
        for i in _pareto(choices, within_time, within_memory):
            marks[i].append("Pareto")
    return marks


def _figures(choices: Sequence[Choice], figure: str) -> np.ndarray:
    return np.array([getattr(choice, figure) for choice in choices], dtype=float)


def _pareto(choices: Sequence[Choice], within_time: float, within_memory: float) -> list[int]:
    """Indices of choices that no other settings beat.

    Others beat one that they are faster than and that needs no less memory; or that they are as fast as and that needs
    more. What is within is the same.
    """
    time_s, peak_bytes = _figures(choices, "time_s"), _figures(choices, "peak_bytes")
    way = pd.factorize(pd.Series([tuple(choice.way.values()) for choice in choices]))[0]
    return [
        int(i)
        for i in np.flatnonzero(~np.isnan(time_s + peak_bytes))
        if not np.any(
            (way != way[i])
            & (
                ((time_s * within_time < time_s[i]) & (peak_bytes <= peak_bytes[i] * within_memory))
                | ((time_s <= time_s[i] * within_time) & (peak_bytes * within_memory < peak_bytes[i]))
            )
        )
    ]
