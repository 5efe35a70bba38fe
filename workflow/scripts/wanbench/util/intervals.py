"""Sets of time: sorted, disjoint (start, end) pairs, in whatever unit the caller uses."""

from bisect import bisect_left
from collections.abc import Iterable

Interval = tuple[int, int]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The time that any of the intervals covers; nested and overlapping ones count once."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def subtract(intervals: list[Interval], holes: list[Interval]) -> list[Interval]:
    """The time in `intervals` and not in `holes`; both as `union` gives them."""
    left: list[Interval] = []
    for start, end in intervals:
        # The last hole that begins before it, which may reach into it.
        i = max(0, bisect_left(holes, (start,)) - 1)
        while i < len(holes) and holes[i][0] < end:
            if holes[i][0] > start:
                left.append((start, holes[i][0]))
            start = max(start, holes[i][1])
            i += 1
        if start < end:
            left.append((start, end))
    return left


def total(intervals: Iterable[Interval]) -> int:
    """Length of disjoint intervals."""
    return sum(end - start for start, end in intervals)


def overlap(interval: Interval, intervals: Iterable[Interval]) -> int:
    """Length of what `interval` and disjoint intervals have in common."""
    return sum(max(0, min(interval[1], end) - max(interval[0], start)) for start, end in intervals)
