"""Time against memory: cases that made the same video with different settings."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wanbench.analysis.best_at import marks_of
from wanbench.analysis.choices import Choice, differ, group_name, groups_of
from wanbench.models.facts import MODELS
from wanbench.plots import style
from wanbench.plots.picture import Picture, notice
from wanbench.plots.style import rounded, shortened

_LEFT_IN, _WIDTH_IN, _LIST_IN = 0.75, 4.7, 5.7
_LONGEST_NAME = 40
_LINE_IN, _GAP_IN, _TITLE_IN, _AXIS_IN = 0.145, 0.07, 0.35, 0.55
_NEAR_IN = 0.12  # marks nearer than this lie on one another, and share a number
_TITLE = "Time of one generation against peak GPU memory"
_CAPTION = (
    "Each point is a case; further down and to the left is better. The list at the right has its number, bold on the "
    "Pareto front: no other settings are better in both. Time is of one generation at the model's official number of "
    "steps, without initialisation and compilation (scaled: from s/step)."
)


@dataclass(frozen=True)
class Point:
    """A case in a panel: seconds of one generation, GB of peak GPU memory, and whether it is on the Pareto front."""

    label: str
    time_s: float
    memory_gb: float
    on_front: bool
    scaled: bool


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
    if not panels:
        return notice(_TITLE, "No two full-scale cases made the same video on a GPU with different settings.")
    # Each point may need an entry of its own in the list, of two lines.
    heights_in = [max(1.6, (2 * _LINE_IN + _GAP_IN) * len(points)) for points in panels.values()]
    figure = style.new_figure(0.4 + sum(heights_in) + len(panels) * (_TITLE_IN + _AXIS_IN), _TITLE)
    top_in = 0.4
    for (name, points), height_in in zip(panels.items(), heights_in):
        _draw_panel(figure, name, points, top_in + _TITLE_IN, height_in)
        top_in += _TITLE_IN + height_in + _AXIS_IN
    return Picture(figure, _alt(panels), _CAPTION)


def _draw_panel(figure: Figure, name: str, points: Sequence[Point], top_in: float, height_in: float) -> None:
    axes = style.place(figure, _LEFT_IN, top_in, _WIDTH_IN, height_in)
    axes.set_title(name, loc="left")
    right_s = 1.08 * max(point.time_s for point in points)
    top_gb = 1.15 * max(point.memory_gb for point in points)
    axes.set_xlim(0, right_s)
    axes.set_ylim(0, top_gb)
    _draw_front(axes, [point for point in points if point.on_front])
    for point in points:
        marker = {"c": style.BLUE} if point.on_front else {"facecolors": "white", "edgecolors": style.BLACK}
        axes.scatter(point.time_s, point.memory_gb, s=36, zorder=3, **marker)
    line_in = top_in
    for number, cluster in enumerate(clusters_of(points, _WIDTH_IN / right_s, height_in / top_gb), 1):
        last = cluster[-1]
        axes.annotate(f"{number}", (last.time_s, last.memory_gb), (4, 3), textcoords="offset points", fontsize=8)
        line_in = _draw_entry(figure, number, cluster, line_in) + _GAP_IN
    axes.set_xlabel("Time of one generation (s)")
    axes.set_ylabel("Peak GPU memory (GB)")


def clusters_of(points: Sequence[Point], s_in: float, gb_in: float) -> list[list[Point]]:
    """The points, those together whose marks lie on one another.

    Args:
        s_in, gb_in: inches that a second and a GB take in the panel.
    """
    clusters: list[list[Point]] = []
    for point in points:
        for cluster in clusters:
            if any(
                abs(point.time_s - other.time_s) * s_in < _NEAR_IN
                and abs(point.memory_gb - other.memory_gb) * gb_in < _NEAR_IN
                for other in cluster
            ):
                cluster.append(point)
                break
        else:
            clusters.append([point])
    return clusters


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """As stairs: between two cases nothing better was measured than the one with less time."""
    times_s, memory_gb = [point.time_s for point in front], [point.memory_gb for point in front]
    right_s, top_gb = axes.get_xlim()[1], axes.get_ylim()[1]
    stairs = ([times_s[0], *times_s, right_s], [top_gb, *memory_gb, memory_gb[-1]])
    axes.plot(*stairs, drawstyle="steps-post", color=style.BLUE, linestyle="--", linewidth=1.2)
    # Left of the fastest case nothing is drawn, but there may be no room.
    side, offset = ("right", -4) if times_s[0] > 0.3 * right_s else ("left", 4)
    place = (times_s[0], top_gb)
    axes.annotate("Pareto front", place, (offset, -2), textcoords="offset points", ha=side, va="top", fontsize=8)


def _draw_entry(figure: Figure, number: int, points: Sequence[Point], top_in: float) -> float:
    """Names and figures of points that share a number; how far down the entry ends."""
    lines = [(shortened(point.label, _LONGEST_NAME), point.on_front) for point in points]
    lines.append((_figures(points), all(point.on_front for point in points)))
    lefts_in = (_LIST_IN, _LIST_IN + 0.2)
    figure_in = (style.WIDTH_IN, figure.get_figheight())
    figure.text(lefts_in[0] / figure_in[0], 1 - top_in / figure_in[1], f"{number}", va="top", fontsize=8)
    for line, bold in lines:
        weight = "bold" if bold else "normal"
        place = (lefts_in[1] / figure_in[0], 1 - top_in / figure_in[1])
        figure.text(*place, line, va="top", fontsize=8, fontweight=weight)
        top_in += _LINE_IN
    return top_in


def _figures(points: Sequence[Point]) -> str:
    """Time and memory of one case, or the span of several."""
    scaled = " (scaled)" if all(point.scaled for point in points) else ""
    time_s = _span([point.time_s for point in points])
    return f"{time_s} s{scaled}, {_span([point.memory_gb for point in points])} GB"


def _span(values: Sequence[float]) -> str:
    lowest, highest = rounded(min(values)), rounded(max(values))
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _alt(panels: dict[str, list[Point]]) -> str:
    words = []
    for name, points in panels.items():
        front = [f"{point.label} with {_figures([point])}" for point in points if point.on_front]
        words.append(f"{name}: of {len(points)} cases on the Pareto front are {'; '.join(front)}")
    return f"{_TITLE}. {'. '.join(words)}."
