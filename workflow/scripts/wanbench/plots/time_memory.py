"""Time against memory: ways to make the same video."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, StrMethodFormatter

from wanbench.analysis.settings_table import TRADE_OFF
from wanbench.models.facts import MODELS
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, notice
from wanbench.plots.style import rounded, shortened
from wanbench.registry.metrics import WORKLOAD

_LONGEST_NAME = 40
_ENTRY_IN, _TITLES_IN = 0.36, 0.9
_NEAR_IN = 0.12  # marks nearer than this lie on one another, and share a number
_TITLE = "Time of one generation against peak GPU memory"


def points_of(ways: pd.DataFrame) -> pd.DataFrame:
    """Rows of the settings table whose time and memory (`gb`, as torch allocated) are known, the fastest first.

    `trade_off` are those that the table calls so.
    """
    ways = ways.assign(gb=ways["gpu_mem_allocated_bytes"] / 1e9, trade_off=ways["best_at"].str.contains(TRADE_OFF))
    return ways.dropna(subset=["time_s", "gb"]).sort_values(["time_s", "printed"])


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
        return notice(_TITLE, WORDS.nothing("Ways"))
    # Each point may need an entry of its own in the list.
    heights_in = [max(1.6, _ENTRY_IN * len(points)) for points in panels.values()]
    figure = style.new_figure(_TITLE, sum(heights_in) + len(panels) * _TITLES_IN)
    rows = figure.subplots(len(panels), 2, squeeze=False, height_ratios=heights_in, width_ratios=(5.5, 3.2))
    for (axes, _), (name, points) in zip(rows, panels.items()):
        axes.set_title(name, loc="left")
        _draw_points(axes, points)
    # Then it is known which points lie on one another.
    figure.draw_without_rendering()
    for (axes, beside), points in zip(rows, panels.values()):
        _list_points(axes, beside, points)
    return Picture(figure, WORDS.time_memory(_TITLE, {name: len(points) for name, points in panels.items()}))


def _draw_points(axes: Axes, points: pd.DataFrame) -> None:
    axes.loglog()
    for set_limits, values in ((axes.set_xlim, points["time_s"]), (axes.set_ylim, points["gb"])):
        set_limits(0.85 * values.min(), 1.15 * values.max())
    axes.set(xlabel="Time of one generation (s)", ylabel="Allocated GPU memory (GB)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 4, 5, 7)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter("")
    # Stairs below which nothing was measured.
    times_s, least_gb = points["time_s"].tolist(), points["gb"].cummin().tolist()
    stairs = ([times_s[0], *times_s, axes.get_xlim()[1]], [axes.get_ylim()[1], *least_gb, least_gb[-1]])
    axes.plot(*stairs, drawstyle="steps-post", color=style.BLUE, linestyle="--", linewidth=1.2)
    for point in points.itertuples():
        marker = {"c": style.BLUE} if point.trade_off else {"facecolors": "white", "edgecolors": style.BLACK}
        axes.scatter(point.time_s, point.gb, s=36, zorder=3, **marker)


def _list_points(axes: Axes, beside: Axes, points: pd.DataFrame) -> None:
    """Numbers at the points, and beside the axes what each of them stands for."""
    beside.set_axis_off()
    top_left = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "fontsize": 8}
    top_pt = 0.0
    at_in = axes.transData.transform(points[["time_s", "gb"]].to_numpy(float)) / axes.figure.dpi
    # The first on which the mark of each lies: itself, where it lies on none before it.
    first = (np.abs(at_in[:, None] - at_in).max(axis=2) < _NEAR_IN).argmax(axis=1)
    for number, (_, cluster) in enumerate(points.groupby(first), 1):
        at = cluster["time_s"].iloc[-1], cluster["gb"].iloc[-1]
        axes.annotate(f"{number}", at, (4, 3), textcoords="offset points", fontsize=8)
        beside.annotate(f"{number}", xytext=(0, top_pt), **top_left)
        for point in cluster.itertuples():
            text = f"{shortened(point.printed, _LONGEST_NAME)}\n{rounded(point.time_s)} s, {rounded(point.gb)} GB"
            weight = "bold" if point.trade_off else "normal"
            beside.annotate(text, xytext=(15, top_pt), fontweight=weight, **top_left)
            top_pt -= 72 * _ENTRY_IN
