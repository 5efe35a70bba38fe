"""Sets of time: sorted, disjoint (start, end) pairs, in whatever unit the caller uses."""

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
    holes_iterator = iter(holes)
    hole = next(holes_iterator, None)
    for start, end in intervals:
        while hole is not None and hole[1] <= start:
            hole = next(holes_iterator, None)
        while hole is not None and hole[0] < end:
            if hole[0] > start:
                left.append((start, hole[0]))
            start = hole[1]
            if hole[1] >= end:
                break
            hole = next(holes_iterator, None)
        if start < end:
            left.append((start, end))
    return left


def total(intervals: Iterable[Interval]) -> int:
    """Length of disjoint intervals."""
    return sum(end - start for start, end in intervals)


def overlap(interval: Interval, intervals: Iterable[Interval]) -> int:
    """Length of what `interval` and disjoint intervals have in common."""
    return sum(max(0, min(interval[1], end) - max(interval[0], start)) for start, end in intervals)
