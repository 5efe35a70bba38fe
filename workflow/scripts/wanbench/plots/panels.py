"""What stands below the stages of a timeline: one panel for each kind of figure that was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from wanbench.plots import style
from wanbench.plots.segments import StageRow
from wanbench.registry.stages import NOT_LEAVES
from wanbench.trace.reader import Readings

Counters = Mapping[str, Mapping[str, Readings]]

# Three readings missed. A line across more would show what nobody saw.
MAX_GAP_S = 0.35
_MOST_POINTS = 400
_MAIN, _SECOND = (style.BLUE, "-"), (style.VERMILION, ":")


@dataclass(frozen=True)
class Panel:
    """A kind of figure over time.

    Attributes:
        track: of the trace's counters.
        looks: colour and dashes by line of that track.
        summary: what becomes of neighbouring readings that are drawn as one.
        share: of a whole, so the axis reaches 100 %. Each reading is a mean of the time since the one before.
        allocated: torch's peak of each stage is drawn as well.
        lines, levels: what was measured: readings by line, and pieces (start, end, value) of whole stages.
    """

    name: str
    unit: str
    track: str
    looks: Mapping[str, tuple[str, str]]
    summary: str = "mean"
    share: bool = False
    allocated: bool = False
    lines: Mapping[str, Readings] = field(default_factory=dict)
    levels: Sequence[tuple[float, float, float]] = ()


_GPU = (
    Panel("GPU activity", "%", "GPU activity (%)", {"SM": _MAIN, "tensor": _SECOND}, share=True),
    Panel("GPU memory", "GB", "GPU memory (GB)", {"device": _MAIN}, summary="max", allocated=True),
    Panel("Power", "W", "GPU power (W)", {"power": _MAIN}),
)
_CPU = (
    Panel("CPU", "%", "CPU (%)", {"machine": (style.SKY, "-"), "measured process": _SECOND}, share=True),
    Panel("Process memory", "GB", "System memory (GB)", {"measured process": _MAIN}, summary="max"),
)


def panels_of(counters: Counters, stages: Sequence[StageRow]) -> list[Panel]:
    """Panels of the GPU, or else of the CPU. What was not measured has no panel and no line: it is not zero."""
    for kind in (_GPU, _CPU):
        panels = [_filled(panel, counters.get(panel.track, {}), stages) for panel in kind]
        if known := [panel for panel in panels if panel.lines or panel.levels]:
            return known
    return []


def _filled(panel: Panel, read: Mapping[str, Readings], stages: Sequence[StageRow]) -> Panel:
    lines = {name: drawable(read[name], panel.summary, panel.share) for name in panel.looks if name in read}
    return replace(panel, lines=lines, levels=_allocated(stages) if panel.allocated else ())


def drawable(readings: Readings, summary: str = "mean", share: bool = False) -> Readings:
    """Readings with NaN in each gap; of long series, as many neighbours as needed made one by `summary`.

    NaN stands at the time of the reading after the gap: a step that leads up to that reading then has no length.

    Args:
        share: what the kernel's ticks put above 100 % is 100, as in the report's tables.
    """
    frame = pd.DataFrame({"time_s": readings.times_s, "value": readings.values}, dtype=float)
    if share:
        frame["value"] = frame["value"].clip(upper=100)
    after_gap = frame["time_s"].diff() > MAX_GAP_S
    together = max(1, math.ceil(len(frame) / _MOST_POINTS))
    # Neighbours between two gaps, by the number of the first of them.
    place = frame.groupby(after_gap.cumsum()).cumcount()
    points = frame.groupby(frame.index - place % together).agg({"time_s": "last", "value": summary})
    gaps = frame[after_gap].assign(value=math.nan).set_axis(frame.index[after_gap] - 0.5)
    drawn = pd.concat([points, gaps]).sort_index()
    return Readings(drawn["time_s"].tolist(), drawn["value"].tolist())


def _allocated(stages: Sequence[StageRow]) -> list[tuple[float, float, float]]:
    """Torch's peak is known of whole stages only, not of an instant."""
    return [
        (stage["start_s"], stage["start_s"] + stage["extent_s"], stage["gpu_mem_allocated_bytes"] / 1e9)
        for stage in stages
        if stage["stage"] not in NOT_LEAVES and stage["gpu_mem_allocated_bytes"] is not None
    ]
