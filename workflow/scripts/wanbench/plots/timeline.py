"""The timeline of a case: its stages, and below them a panel for each kind of figure that was measured meanwhile."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
from matplotlib.axes import Axes

from wanbench.analysis.tables import TableRow, TableRows
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture
from wanbench.plots.segments import Segment, extent_s, kind_of, segments_of
from wanbench.registry.stages import NOT_LEAVES, TOTAL_EXECUTION
from wanbench.trace.reader import Readings

Counters = Mapping[str, Mapping[str, Readings]]

_WIDTH_IN = 6.75  # of the axes, about
_STAGES_IN, _GENERATIONS_IN, _PANEL_IN, _SPACE_IN, _BOTTOM_IN = 0.4, 0.22, 1.15, 0.14, 0.5
# Three readings missed. A line across more would show what nobody saw.
_MAX_GAP_S = 0.35
_MOST_POINTS = 400
_MAIN, _SECOND = (style.BLUE, "-"), (style.VERMILION, ":")


@dataclass(frozen=True)
class Panel:
    """A kind of figure over time.

    Attributes:
        unit: % is of a whole: its axis reaches 100, and each reading is a mean of the time since the one before.
        track: of the trace's counters.
        looks: colour and dashes by line of that track.
        lines, levels: what was measured: readings by line, and values of whole stages, each with its start and end.
    """

    name: str
    unit: str
    track: str
    looks: Mapping[str, tuple[str, str]]
    lines: Mapping[str, Readings] = field(default_factory=dict)
    levels: Sequence[tuple[float, float, float]] = ()


_GPU_MEMORY = Panel("GPU memory", "GB", "GPU memory (GB)", {"device": _MAIN})
_GPU = (
    Panel("GPU activity", "%", "GPU activity (%)", {"SM": _MAIN, "tensor": _SECOND}),
    _GPU_MEMORY,
    Panel("Power", "W", "GPU power (W)", {"power": _MAIN}),
)
_CPU = (
    Panel("CPU", "%", "CPU (%)", {"machine": (style.SKY, "-"), "measured process": _SECOND}),
    Panel("Process memory", "GB", "System memory (GB)", {"measured process": _MAIN}),
)


def timeline(case: TableRow, stages: TableRows, counters: Counters) -> Picture:
    """Stages as bars above panels of the same time axis; of a failed case as far as it came.

    Start-up of the process is excluded where anything came after it: it can be longer than all the rest.

    Args:
        case, stages: its rows of the tables, None for what was not measured.
    """
    begin_s = next((stage["start_s"] for stage in stages if stage["stage"] == TOTAL_EXECUTION), 0.0)
    # Of an attempt that ended before anything was written down, an axis of a second.
    end_s = case["total_duration_s"] or 1.0
    segments = [segment for segment in segments_of(stages) if segment.end_s > begin_s]
    looks = list(dict.fromkeys(segment.look for segment in sorted(segments, key=lambda segment: segment.start_s)))
    generations, panels = _generations(stages, case["warmup"]), panels_of(counters, stages)
    stages_in = _STAGES_IN + (_GENERATIONS_IN if generations else 0)
    below_in = stages_in + len(panels) * (_PANEL_IN + _SPACE_IN) + _BOTTOM_IN
    figure = style.new_figure(WORDS.heading(case), below_in, looks)
    heights_in = [stages_in, *[_PANEL_IN] * len(panels)]
    all_axes = figure.subplots(len(heights_in), sharex=True, squeeze=False, height_ratios=heights_in)[:, 0]
    _draw_stages(all_axes[0], segments, generations, _WIDTH_IN / (end_s - begin_s))
    for axes, panel in zip(all_axes[1:], panels):
        _draw_panel(axes, panel)
    all_axes[-1].set(xlim=(begin_s, end_s), xlabel="Time since the start of the process (s)")
    figure.align_ylabels()
    return Picture(figure, WORDS.timeline(case, case["total_duration_s"], [panel.name for panel in panels]))


def panels_of(counters: Counters, stages: TableRows) -> list[Panel]:
    """Panels of the GPU, or else of the CPU. What was not measured has no panel and no line: it is not zero."""
    # Torch's peak is known of whole stages only, not of an instant.
    allocated = [
        (stage["gpu_mem_allocated_bytes"] / 1e9, *extent_s(stage))
        for stage in stages
        if stage["stage"] not in NOT_LEAVES and stage["gpu_mem_allocated_bytes"] is not None
    ]
    for kind in (_GPU, _CPU):
        measured = []
        for panel in kind:
            read, levels = counters.get(panel.track, {}), allocated if panel is _GPU_MEMORY else ()
            lines = {name: drawable(read[name], panel.unit) for name in panel.looks if name in read}
            if lines or levels:
                measured.append(replace(panel, lines=lines, levels=levels))
        if measured:
            return measured
    return []


def drawable(readings: Readings, unit: str) -> Readings:
    """Readings with NaN in each gap; of long series, as many neighbours as needed made one: mean, or highest of GB.

    NaN stands at the time of the reading after the gap: a step that leads up to that reading then has no length. What
    the kernel's ticks put above 100 % is 100, as in the report's tables.
    """
    frame = pd.DataFrame({"time_s": readings.times_s, "value": readings.values}, dtype=float)
    if unit == "%":
        frame["value"] = frame["value"].clip(upper=100)
    after_gap = frame["time_s"].diff() > _MAX_GAP_S
    together = max(1, math.ceil(len(frame) / _MOST_POINTS))
    # Neighbours between two gaps, by the number of the first of them.
    neighbours = frame.groupby(frame.index - frame.groupby(after_gap.cumsum()).cumcount() % together)
    points = neighbours.agg({"time_s": "last", "value": "max" if unit == "GB" else "mean"})
    gaps = frame[after_gap].assign(value=math.nan).set_axis(frame.index[after_gap] - 0.5)
    drawn = pd.concat([points, gaps]).sort_index()
    return Readings(drawn["time_s"].tolist(), drawn["value"].tolist())


def _generations(stages: TableRows, warmup: int) -> list[tuple[str, float, float]]:
    """Name, start and end of each generation where there are several."""
    named = []
    for number in sorted({stage["generation"] for stage in stages} - {None}):
        of_it = [stage for stage in stages if stage["generation"] == number]
        kind = kind_of(of_it[0], warmup)
        starts_s, ends_s = zip(*map(extent_s, of_it))
        named.append((f"{number} ({kind})" if kind else f"{number}", min(starts_s), max(ends_s)))
    return named if len(named) > 1 else []


def _draw_stages(
    axes: Axes, segments: Sequence[Segment], generations: Sequence[tuple[str, float, float]], in_per_s: float
) -> None:
    """Stages in a row, and above them the generations, with as much of their names as fits."""
    for look in dict.fromkeys(segment.look for segment in segments):
        of_look = [(part.start_s, part.end_s - part.start_s) for part in segments if part.look is look]
        axes.broken_barh(of_look, (0, 1), **look.fill)
    for name, start_s, end_s in generations:
        axes.plot([start_s, end_s], [1.3, 1.3], color=style.BLACK, marker="|", markersize=5, linewidth=1)
        fits = (text for text in (name, name.split()[0]) if (end_s - start_s) * in_per_s > 0.08 * len(text))
        axes.annotate(next(fits, ""), ((start_s + end_s) / 2, 1.38), ha="center", fontsize=8)
    axes.set_ylim(0, 1.9 if generations else 1)
    axes.set_yticks([0.5, 1.5] if generations else [0.5], ["Stages", "Generation"][: 2 if generations else 1])
    axes.tick_params(axis="y", length=0)
    axes.grid(False)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    drawn_as, least = ("steps-pre", 105) if panel.unit == "%" else ("default", 0)
    for name, readings in panel.lines.items():
        colour, dashes = panel.looks[name]
        look = {"color": colour, "linestyle": dashes, "linewidth": 1.1, "drawstyle": drawn_as}
        axes.plot(readings.times_s, readings.values, label=name, **look)
    if panel.levels:
        label, look = "peak allocated by\ntorch in each stage", {"colors": style.VERMILION, "linewidth": 2.2}
        axes.hlines(*zip(*panel.levels), label=label, **look)
    # A line at the very top would be cut in half.
    axes.set_ylim(0, max(1.05 * axes.dataLim.y1, least) or 1)
    axes.set_ylabel(f"{panel.name}\n({panel.unit})")
    axes.legend(bbox_to_anchor=(1.005, 1.0))
