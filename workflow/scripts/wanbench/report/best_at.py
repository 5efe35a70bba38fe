"""What each of several ways to make the same video is best at."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from wanbench.report.choices import Choice

_LEAST_MEMORY = "least memory (allocated)"
_LEAST = {"fastest": "time_s", _LEAST_MEMORY: "peak_bytes", "least energy": "energy_j"}


def marks_of(choices: Sequence[Choice], alike_memory_pct: float, alike_generation_pct: float = 0.0) -> list[list[str]]:
    """What each choice is best at among all; of what only one was measured for, none is best, nor is one alone.

    Args:
        alike_memory_pct: peaks that differ by no more are the same memory: settings that save so little are no choice.
        alike_generation_pct: times and energies that differ by no more are those of equal cases. Pareto takes them as
            they are.
    """
    within = 1 + alike_memory_pct / 100
    marks: list[list[str]] = [[] for _ in choices]
    for mark, figure in _LEAST.items():
        known = [value for choice in choices if (value := getattr(choice, figure)) is not None]
        if len(known) > 1:
            most = min(known) * (within if mark == _LEAST_MEMORY else 1 + alike_generation_pct / 100)
            for choice, its_marks in zip(choices, marks):
                if (value := getattr(choice, figure)) is not None and value <= most:
                    its_marks.append(mark)
    if sum(choice.fits for choice in choices) > 1:
        for i in _pareto(choices, within):
            marks[i].append("Pareto")
    return marks


def _pareto(choices: Sequence[Choice], within: float) -> Iterator[int]:
    """Indices of choices that no other settings beat, in one pass over times that grow."""
    known = [i for i, choice in enumerate(choices) if choice.time_s is not None and choice.peak_bytes is not None]
    faster = _LeastMemory()
    for _, group in groupby(sorted(known, key=lambda i: choices[i].time_s), key=lambda i: choices[i].time_s):
        as_fast = list(group)
        together = _LeastMemory()
        for i in as_fast:
            together.add(choices[i])
        for i in as_fast:
            beaten = faster.of_others(choices[i]) <= choices[i].peak_bytes * within
            if not beaten and together.of_others(choices[i]) * within >= choices[i].peak_bytes:
                yield i
        for i in as_fast:
            faster.add(choices[i])


class _LeastMemory:
    """The least peak of each of the two ways that need the least: one of them is not a choice's own."""

    def __init__(self) -> None:
        self._least: dict[tuple[str, ...], float] = {}

    def add(self, choice: Choice) -> None:
        way = tuple(choice.way.values())
        self._least[way] = min(choice.peak_bytes, self._least.get(way, math.inf))
        self._least = dict(sorted(self._least.items(), key=lambda item: item[1])[:2])

    def of_others(self, choice: Choice) -> float:
        own = tuple(choice.way.values())
        return min((peak for way, peak in self._least.items() if way != own), default=math.inf)
