"""Labels in a column beside points, so that each can be read and no two lines to them cross. Geometry only."""

from collections.abc import Sequence
from dataclasses import dataclass

Place = tuple[float, float]

_MARK_IN = 0.1  # of places no further apart in height, a line to the left one may not run through the right one


@dataclass(frozen=True)
class Label:
    """A label of some height for what lies at a place; lengths in inches, from the upper left corner of the panel."""

    place: Place
    height_in: float


def clusters_of(places: Sequence[Place], near_in: float) -> list[list[int]]:
    """Positions of the places, those together whose marks lie on one another, directly or through others."""
    clusters: list[list[int]] = []
    for i, place in enumerate(places):
        touching = [cluster for cluster in clusters if any(_distance_in(place, places[j]) < near_in for j in cluster)]
        clusters = [cluster for cluster in clusters if cluster not in touching]
        clusters.append(sorted([i, *(j for cluster in touching for j in cluster)]))
    return sorted(clusters)


def middles_in(labels: Sequence[Label], column_in: float, height_in: float) -> list[float]:
    """How far down the middle of each label stands: near its place, below one another within the height.

    Neighbours are exchanged until no lines to them cross. That makes lines shorter, and so comes to an end; the bound
    is for labels of unlike heights, where it may not, and for many.

    Args:
        column_in: how far right all lines end.
        height_in: at least that of all labels together.
    """
    order = sorted(range(len(labels)), key=lambda i: (round(labels[i].place[1] / _MARK_IN), -labels[i].place[0]))
    for _ in labels:
        ends_in = _stacked_in([labels[i] for i in order], height_in)
        exchanged = _exchanged(labels, order, ends_in, column_in)
        if exchanged == order:
            break
        order = exchanged
    ends_in = _stacked_in([labels[i] for i in order], height_in)
    return [ends_in[place] for place in sorted(range(len(order)), key=order.__getitem__)]


def _exchanged(labels: Sequence[Label], order: list[int], ends_in: Sequence[float], column_in: float) -> list[int]:
    """The order with the neighbours exchanged whose lines cross, each at most once."""
    found: list[int] = []
    k = 0
    while k < len(order):
        if k + 1 < len(order) and _cross(labels, order, ends_in, k, column_in):
            found += [order[k + 1], order[k]]
            k += 2
        else:
            found.append(order[k])
            k += 1
    return found


def _stacked_in(labels: Sequence[Label], height_in: float) -> list[float]:
    """Middles of labels in this order, each as near to its place as those above and then those below leave room."""
    tops_in: list[float] = []
    for label in labels:
        above_in = tops_in[-1] + labels[len(tops_in) - 1].height_in if tops_in else 0.0
        tops_in.append(max(above_in, label.place[1] - label.height_in / 2))
    below_in = height_in
    for k in reversed(range(len(labels))):
        tops_in[k] = min(tops_in[k], below_in - labels[k].height_in)
        below_in = tops_in[k]
    return [top_in + label.height_in / 2 for top_in, label in zip(tops_in, labels)]


def _cross(labels: Sequence[Label], order: Sequence[int], ends_in: Sequence[float], k: int, column_in: float) -> bool:
    """Whether the lines to a label and to the one below it cross: where the later line begins, the order is another."""
    upper, lower = labels[order[k]].place, labels[order[k + 1]].place
    from_in = max(upper[0], lower[0])
    return _height_at(upper, ends_in[k], from_in, column_in) > _height_at(lower, ends_in[k + 1], from_in, column_in)


def _height_at(place: Place, end_in: float, x_in: float, column_in: float) -> float:
    return place[1] + (end_in - place[1]) * (x_in - place[0]) / (column_in - place[0])


def _distance_in(one: Place, other: Place) -> float:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))
