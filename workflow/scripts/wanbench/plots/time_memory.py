"""Time against memory: cases that made the same video with different settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wanbench.analysis.best_at import marks_of
from wanbench.analysis.choices import Choice, differ, group_name, groups_of
from wanbench.models.facts import MODELS
from wanbench.plots import style
from wanbench.plots.labels import Label, clusters_of, middles_in
from wanbench.plots.picture import Picture, notice
from wanbench.plots.style import rounded, shortened

_LEFT_IN, _WIDTH_IN, _LABELS_IN = 0.75, 4.7, 5.85
_LONGEST_NAME = 40
_LINE_IN, _GAP_IN, _TITLE_IN, _AXIS_IN = 0.145, 0.07, 0.35, 0.55
_NEAR_IN = 0.12  # marks nearer than this lie on one another


@dataclass(frozen=True)
class Point:
    """A case in a panel: seconds of one generation, GB of peak GPU memory, and whether it is on the Pareto front."""

    label: str
    time_s: float
    memory_gb: float
    on_front: bool
    scaled: bool

    @property
    def text(self) -> str:
        return _figures([self])


def points_of(choices: Sequence[Choice], alike_memory_pct: float, alike_generation_pct: float) -> list[Point]:
    """Cases whose time and memory are both known, the fastest first."""
    points = [
        Point(choice.label, choice.time_s, choice.peak_bytes / 1e9, "Pareto" in marks, choice.scaled)
        for choice, marks in zip(choices, marks_of(choices, alike_memory_pct, alike_generation_pct))
        if choice.time_s is not None and choice.peak_bytes is not None
    ]
    return sorted(points, key=lambda point: (point.time_s, point.memory_gb, point.label))


def time_memory(cases: pd.DataFrame, alike_memory_pct: float, alike_generation_pct: float) -> Picture:
    """A panel for each group of cases that the report's section on settings compares.

    Args:
        alike_memory_pct, alike_generation_pct: as `wanbench.analysis.best_at.marks_of` takes them.
    """
    panels = {
        f"{group_name(*same)}, {MODELS[same[0]].steps} steps": points_of(
            choices, alike_memory_pct, alike_generation_pct
        )
        for same, choices in groups_of(cases).items()
        if differ([choice for choice in choices if choice.fits])
    }
    panels = {name: points for name, points in panels.items() if len(points) > 1}
    title = "Time of one generation against peak GPU memory"
    if not panels:
        return notice(title, "No two full-scale cases made the same video on a GPU with different settings.")
    # Each point may need a label of its own, of two lines.
    heights_in = [max(1.6, (2 * _LINE_IN + _GAP_IN) * len(points)) for points in panels.values()]
    figure = style.new_figure(0.4 + sum(heights_in) + len(panels) * (_TITLE_IN + _AXIS_IN))
    style.heading(figure, title)
    top_in = 0.4
    for (name, points), height_in in zip(panels.items(), heights_in):
        _draw_panel(figure, name, points, top_in + _TITLE_IN, height_in)
        top_in += _TITLE_IN + height_in + _AXIS_IN
    return Picture(figure, _alt(panels), _CAPTION)


_CAPTION = (
    "Each point is a case; further down and to the left is better. Time is of one generation at the model's official "
    "number of steps, without initialisation and compilation (scaled: from s/step). The line joins the cases "
    "than which no other settings are better in both (Pareto)."
)


def _draw_panel(figure: Figure, name: str, points: Sequence[Point], top_in: float, height_in: float) -> None:
    axes = style.place(figure, _LEFT_IN, top_in, _WIDTH_IN, height_in)
    axes.set_title(name, loc="left")
    axes.patch.set_visible(False)
    front = sorted((point for point in points if point.on_front), key=lambda point: (point.time_s, -point.memory_gb))
    axes.set_xlim(0, 1.08 * max(point.time_s for point in points))
    axes.set_ylim(0, 1.15 * max(point.memory_gb for point in points))
    _draw_front(axes, front)
    looks = ((False, {"facecolors": "white", "edgecolors": style.BLACK}), (True, {"c": style.BLUE}))
    for on_front, marker in looks:
        of_kind = [(point.time_s, point.memory_gb) for point in points if point.on_front is on_front]
        if of_kind:
            axes.scatter(*zip(*of_kind), s=36, zorder=3, **marker)
    _draw_labels(figure, axes, points, top_in, height_in)
    axes.set_xlabel("Time of one generation (s)")
    axes.set_ylabel("Peak GPU memory (GB)")


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """As stairs: between two cases nothing better was measured than the one with less time."""
    times_s, memory_gb = [point.time_s for point in front], [point.memory_gb for point in front]
    right_s, top_gb = axes.get_xlim()[1], axes.get_ylim()[1]
    stairs = ([times_s[0], *times_s, right_s], [top_gb, *memory_gb, memory_gb[-1]])
    axes.plot(*stairs, drawstyle="steps-post", color=style.BLUE, linestyle="--", linewidth=1.2)
    # Left of the fastest case nothing is drawn, but there may be no room.
    side, offset = ("right", -4) if times_s[0] > 0.3 * right_s else ("left", 4)
    axes.annotate(
        "Pareto front", (times_s[0], top_gb), (offset, -2), textcoords="offset points", ha=side, va="top", fontsize=8
    )


def _draw_labels(figure: Figure, axes: Axes, points: Sequence[Point], top_in: float, height_in: float) -> None:
    """In a column beside the panel, joined to the points: points may lie on one another, labels must not."""
    right_s, top_gb = axes.get_xlim()[1], axes.get_ylim()[1]
    places = [(point.time_s / right_s * _WIDTH_IN, (1 - point.memory_gb / top_gb) * height_in) for point in points]
    together = clusters_of(places, _NEAR_IN)
    clusters = [[points[i] for i in cluster] for cluster in together]
    labels = [Label(_middle(places, cluster), _LINE_IN * (len(cluster) + 1) + _GAP_IN) for cluster in together]
    middles = middles_in(labels, _LABELS_IN - _LEFT_IN, height_in)
    for cluster, label, middle_in in zip(clusters, labels, middles):
        _draw_label(figure, cluster, top_in + middle_in)
        x_in, y_in = label.place
        _draw_line(figure, (_LEFT_IN + x_in, top_in + y_in), (_LABELS_IN - 0.05, top_in + middle_in))


def _middle(places: Sequence[tuple[float, float]], cluster: Sequence[int]) -> tuple[float, float]:
    return fmean(places[i][0] for i in cluster), fmean(places[i][1] for i in cluster)


def _draw_label(figure: Figure, points: Sequence[Point], middle_in: float) -> None:
    """Names and figures of points that lie on one another; bold those on the front."""
    lines = [(shortened(point.label, _LONGEST_NAME), point.on_front) for point in points]
    lines.append((_figures(points), all(point.on_front for point in points)))
    for i, (line, bold) in enumerate(lines):
        y_in = middle_in + (i - (len(lines) - 1) / 2) * _LINE_IN
        figure.text(
            _LABELS_IN / style.WIDTH_IN,
            1 - y_in / figure.get_figheight(),
            line,
            va="center",
            fontsize=8,
            fontweight="bold" if bold else "normal",
        )


def _draw_line(figure: Figure, start_in: tuple[float, float], end_in: tuple[float, float]) -> None:
    height_in = figure.get_figheight()
    xs = [x_in / style.WIDTH_IN for x_in, _ in (start_in, end_in)]
    ys = [1 - y_in / height_in for _, y_in in (start_in, end_in)]
    # Behind the axes, whose own ground is clear, so that the marks stand on the lines.
    figure.add_artist(Line2D(xs, ys, color=style.GREY, linewidth=0.7, zorder=-1))


def _figures(points: Sequence[Point]) -> str:
    """Time and memory of one case, or the span of several."""
    scaled = " (scaled)" if all(point.scaled for point in points) else ""
    time_s = _span([point.time_s for point in points])
    return f"{time_s} s{scaled}, {_span([point.memory_gb for point in points])} GB"


def _span(values: Sequence[float]) -> str:
    lowest, highest = rounded(min(values)), rounded(max(values))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _alt(panels: dict[str, list[Point]]) -> str:
    words = [
        f"{name}: of {len(points)} cases on the Pareto front are {'; '.join(_front(points))}"
        for name, points in panels.items()
    ]
    return f"Time of one generation against peak GPU memory. {'. '.join(words)}."


def _front(points: Sequence[Point]) -> list[str]:
    return [f"{point.label} with {point.text}" for point in points if point.on_front]
