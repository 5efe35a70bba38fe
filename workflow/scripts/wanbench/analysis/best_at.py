"""What each of several ways to make the same video is best at."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

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
        known = [value for choice in choices if (value := getattr(choice, figure)) is not None]
        if len(known) > 1:
            most = min(known) * (within_memory if mark == _LEAST_MEMORY else within_time)
            for choice, its_marks in zip(choices, marks):
                if (value := getattr(choice, figure)) is not None and value <= most:
                    its_marks.append(mark)
    if sum(choice.fits for choice in choices) > 1:
        for i in _pareto(choices, within_time, within_memory):
            marks[i].append("Pareto")
    return marks


def _pareto(choices: Sequence[Choice], within_time: float, within_memory: float) -> Iterator[int]:
    """Indices of choices that no other settings beat, in one pass over times that grow.

    Others beat one that they are faster than and that needs no less memory; or that they are as fast as and that needs
    more. What is within is the same.
    """
    known = [i for i, choice in enumerate(choices) if choice.time_s is not None and choice.peak_bytes is not None]
    known.sort(key=lambda i: choices[i].time_s)
    in_time = [choices[i] for i in known]
    times_s = [choice.time_s for choice in in_time]
    faster, as_fast = _LeastMemory(in_time), _LeastMemory(in_time)
    for i, choice in zip(known, in_time):
        faster.take(bisect_left(times_s, choice.time_s / within_time))
        as_fast.take(bisect_right(times_s, choice.time_s * within_time))
        is_beaten = (
            faster.of_others(choice) <= choice.peak_bytes * within_memory
            or as_fast.of_others(choice) * within_memory < choice.peak_bytes
        )
        if not is_beaten:
            yield i


class _LeastMemory:
    """The least peak of each of the two ways that need the least: one of them is not a choice's own.

    Args:
        choices: of which the first so many are looked at.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = choices
        self._taken = 0
        self._least: dict[tuple[str, ...], float] = {}

    def take(self, count: int) -> None:
        """Look at the first `count`, which are no fewer than before."""
        for choice in self._choices[self._taken : count]:
            self._add(choice)
        self._taken = count

    def _add(self, choice: Choice) -> None:
        way = tuple(choice.way.values())
        self._least[way] = min(choice.peak_bytes, self._least.get(way, math.inf))
        self._least = dict(sorted(self._least.items(), key=lambda item: item[1])[:2])

    def of_others(self, choice: Choice) -> float:
        own = tuple(choice.way.values())
        return min((peak for way, peak in self._least.items() if way != own), default=math.inf)
