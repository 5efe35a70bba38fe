"""Readings over time, made fit to be drawn: gaps stay gaps, and there are no more points than an eye can tell apart."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from wanbench.trace.reader import Readings

Summary = Callable[[Sequence[float]], float]

# Three readings missed. A line across more would show what nobody saw.
MAX_GAP_S = 0.35
_MOST_POINTS = 800  # about one a pixel of the axes


def drawable(readings: Readings, summarise: Summary = fmean) -> Readings:
    """Readings with NaN in each gap; of long series, as many neighbours as needed made one by `summarise`.

    NaN stands at the time of the reading after the gap: a step that leads up to that reading then has no length.
    """
    together = math.ceil(len(readings.times_s) / _MOST_POINTS)
    times_s: list[float] = []
    values: list[float] = []
    for run in _runs(readings.times_s):
        if times_s:
            times_s.append(readings.times_s[run.start])
            values.append(math.nan)
        for i in range(run.start, run.stop, max(1, together)):
            part = readings.values[i : min(i + together, run.stop)]
            times_s.append(readings.times_s[i + len(part) - 1])
            values.append(summarise(part))
    return Readings(times_s, values)


def _runs(times_s: Sequence[float]) -> list[range]:
    """Positions between gaps."""
    breaks = [i for i in range(1, len(times_s)) if times_s[i] - times_s[i - 1] > MAX_GAP_S]
    edges = [0, *breaks, len(times_s)]
    return [range(start, stop) for start, stop in zip(edges, edges[1:]) if stop > start]
