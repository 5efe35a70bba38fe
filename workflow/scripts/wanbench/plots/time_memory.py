"""Time against memory: ways to make the same video."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from wanbench.analysis.settings_table import TRADE_OFF
from wanbench.models.facts import MODELS
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, described, notice
from wanbench.plots.style import rounded, shortened
from wanbench.registry.metrics import WORKLOAD

_LEFT_IN, _WIDTH_IN, _LIST_IN = 0.75, 4.7, 5.7
_LONGEST_NAME = 40
_LINE_IN, _GAP_IN, _TITLE_IN, _AXIS_IN = 0.145, 0.07, 0.35, 0.55
_NEAR_IN = 0.12  # marks nearer than this lie on one another, and share a number
_TITLE = "Time of one generation against peak GPU memory"


@dataclass(frozen=True)
class Point:
    """Settings in a panel: seconds of a generation, GB that torch allocated, and whether nothing beats them in both."""

    label: str
    time_s: float
    memory_gb: float
    on_front: bool


def points_of(ways: pd.DataFrame) -> list[Point]:
    """Rows of the settings table whose time and memory are both known, the fastest first."""
    known = ways.dropna(subset=["time_s", "gpu_mem_allocated_bytes"]).sort_values(["time_s", "printed"])
    return [
        Point(way.printed, way.time_s, way.gpu_mem_allocated_bytes / 1e9, TRADE_OFF in way.best_at)
        for way in known.itertuples()
    ]


def time_memory(settings: pd.DataFrame) -> Picture:
    """A panel for each workload and number of GPUs of which more than one way was measured.

    Args:
        settings: the settings table.
    """
    panels = {}
    for made, ways in settings.groupby([*WORKLOAD, "gpus"], dropna=False, sort=False):
        model, task, size, frames, _, gpu, gpus = made
        where = gpu if gpus == 1 else f"{gpus} x {gpu}"
        if len(points := points_of(ways)) > 1:
            panels[f"{model} {task}, {size}, {frames} frames, {MODELS[model].steps} steps, {where}"] = points
    if not panels:
        return notice(_TITLE, WORDS.NO_WAYS)
    # Each point may need an entry of its own in the list, of two lines.
    heights_in = [max(1.6, (2 * _LINE_IN + _GAP_IN) * len(points)) for points in panels.values()]
    figure = style.new_figure(0.4 + sum(heights_in) + len(panels) * (_TITLE_IN + _AXIS_IN), _TITLE)
    top_in = 0.4
    for (name, points), height_in in zip(panels.items(), heights_in):
        _draw_panel(figure, name, points, top_in + _TITLE_IN, height_in)
        top_in += _TITLE_IN + height_in + _AXIS_IN
    return described(figure, WORDS.time_memory(_TITLE, {name: len(points) for name, points in panels.items()}))


def _draw_panel(figure: Figure, name: str, points: Sequence[Point], top_in: float, height_in: float) -> None:
    axes = style.place(figure, _LEFT_IN, top_in, _WIDTH_IN, height_in)
    axes.set_title(name, loc="left")
    for axis, label, values in (
        (axes.xaxis, "Time of one generation (s)", [point.time_s for point in points]),
        (axes.yaxis, "Allocated GPU memory (GB)", [point.memory_gb for point in points]),
    ):
        axis.axes.set(
            **{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (0.85 * min(values), 1.15 * max(values))}
        )
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter("")
        axis.set_label_text(label)
    _draw_front(axes, [point for point in points if point.on_front])
    for point in points:
        marker = {"c": style.BLUE} if point.on_front else {"facecolors": "white", "edgecolors": style.BLACK}
        axes.scatter(point.time_s, point.memory_gb, s=36, zorder=3, **marker)
    line_in, height = top_in, figure.get_figheight()
    for number, cluster in enumerate(clusters_of(points, axes, (_WIDTH_IN, height_in)), 1):
        last = cluster[-1]
        axes.annotate(f"{number}", (last.time_s, last.memory_gb), (4, 3), textcoords="offset points", fontsize=8)
        figure.text(_LIST_IN / style.WIDTH_IN, 1 - line_in / height, f"{number}", va="top", fontsize=8)
        for point in cluster:
            text = f"{shortened(point.label, _LONGEST_NAME)}\n{_figures(point)}"
            weight = "bold" if point.on_front else "normal"
            place = ((_LIST_IN + 0.2) / style.WIDTH_IN, 1 - line_in / height)
            figure.text(*place, text, va="top", fontsize=8, fontweight=weight)
            line_in += 2 * _LINE_IN + _GAP_IN


def clusters_of(points: Sequence[Point], axes: Axes, size_in: tuple[float, float]) -> list[list[Point]]:
    """The points, those together whose marks lie on one another.

    Args:
        size_in: width and height of the axes, in inches.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    clusters: list[tuple[tuple[float, float], list[Point]]] = []
    for point in points:
        x, y = to_axes.transform((point.time_s, point.memory_gb)) * size_in
        near = (of for (x0, y0), of in clusters if abs(x - x0) < _NEAR_IN and abs(y - y0) < _NEAR_IN)
        if (cluster := next(near, None)) is not None:
            cluster.append(point)
        else:
            clusters.append(((x, y), [point]))
    return [of for _, of in clusters]


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """As stairs: between two points nothing better was measured than the one with less time."""
    times_s, memory_gb = [point.time_s for point in front], [point.memory_gb for point in front]
    right_s, top_gb = axes.get_xlim()[1], axes.get_ylim()[1]
    stairs = ([times_s[0], *times_s, right_s], [top_gb, *memory_gb, memory_gb[-1]])
    axes.plot(*stairs, drawstyle="steps-post", color=style.BLUE, linestyle="--", linewidth=1.2)


def _figures(point: Point) -> str:
    return f"{rounded(point.time_s)} s, {rounded(point.memory_gb)} GB"
