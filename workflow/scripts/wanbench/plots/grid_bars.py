"""All cases of a grid side by side: where their time went, and their energy."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from wanbench.analysis.breakdown import Row, breakdown
from wanbench.analysis.tables import records_by_case
from wanbench.plots import style
from wanbench.plots.picture import Picture, notice
from wanbench.plots.segments import look_of
from wanbench.plots.style import Look, rounded, shortened
from wanbench.registry.stages import NOT_LEAVES, OK, TOTAL_EXECUTION, is_stage

_LOOKS = (
    style.INITIALISATION,
    style.ENCODING,
    style.COMPILATION,
    style.LOADING,
    style.TRANSFER,
    style.DENOISING,
    style.DECODING,
    style.EXPORT,
    style.FURTHER,
    style.UNACCOUNTED,
)
_LABELS_IN, _ROW_IN = 2.5, 0.27
_LONGEST_NAME = 36
_MOST_WORDS = 12  # cases that a sentence can name
_LEAST_SHARE = 1e-3  # of a bar; less cannot be seen, and needs no place in the legend
_TIMES = (
    "Time of each case by stage: of the first generation, or the median over the measured ones. Start-up of the "
    "process is not in it. Weight transfers within other stages, as with offloading, stand apart."
)
_ENERGY = "Energy of each case by stage, over the same time. Stages too short for a figure are in unaccounted."


@dataclass(frozen=True)
class CaseBar:
    """A case as a stacked bar: its label, what stands at its end, and the length of each part."""

    case: str
    ending: str
    parts: Mapping[Look, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    def text(self, unit: str) -> str:
        """What stands at the end of the bar; no figure for a case that never came to Total_Execution."""
        if not self.total:
            return self.ending
        return f"{rounded(self.total)} {unit}{f' ({self.ending})' if self.ending else ''}"


def stage_times(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Where each case's Total_Execution went, in seconds."""
    bars = bars_of(cases, stages, "time_s")
    if not bars:
        return notice("Time by stage", "No case has a usable trace.")
    return _stacked("Time by stage", "Time (s)", "s", bars, [], _TIMES)


def energy(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Energy of each case's Total_Execution, in kJ; cases without a figure are named and have no bar."""
    bars = bars_of(cases, stages, "energy_j", 1e-3)
    if not bars:
        return notice("Energy by stage", "No case has energy figures.")
    missing = sorted(set(cases["case"]) - {bar.case for bar in bars})
    return _stacked("Energy by stage", "Energy (kJ)", "kJ", bars, missing, _ENERGY)


def bars_of(cases: pd.DataFrame, stages: pd.DataFrame, measure: str, scale: float = 1.0) -> list[CaseBar]:
    """Bars of the cases that have the measure, in the order of the table."""
    stages_of = records_by_case(stages)
    bars = []
    for name, (case,) in records_by_case(cases).items():
        rows = stages_of.get(name, [])
        if measure == "time_s" or any(row["stage"] == TOTAL_EXECUTION and row[measure] is not None for row in rows):
            parts = {look: scale * value for look, value in _parts(rows, measure).items()}
            bars.append(CaseBar(name, _ending(case), parts))
    return bars


def _ending(case: Mapping[str, Any]) -> str:
    if case["status"] != OK:
        return case["status"] + (f" in {case['stage_reached']}" if case["stage_reached"] else "")
    return f"{case['generations']} generations" if case["generations"] > 1 else ""


def _parts(stages: Sequence[Mapping[str, Any]], measure: str) -> dict[Look, float]:
    """A measure by kind of stage, as the rows of the report's stage table: they add up to that of Total_Execution.

    Weight transfers within a stage stand apart, since with offloading they can be most of that stage.
    """
    parts = dict.fromkeys(_LOOKS, 0.0)
    for row in breakdown(stages):
        value = getattr(row, measure)
        if is_stage(row.stage) and row.stage not in NOT_LEAVES and value is not None:
            transfer_s = _transfer_s(row) if measure == "time_s" else 0.0
            parts[look_of(row.stage)] += value - transfer_s
            parts[style.TRANSFER] += transfer_s
    shown = sum(parts.values())
    leaves = sum(stage[measure] or 0 for stage in stages if stage["stage"] not in NOT_LEAVES)
    total = sum(stage[measure] or 0 for stage in stages if stage["stage"] == TOTAL_EXECUTION)
    parts[style.FURTHER] = max(0.0, leaves - shown)
    parts[style.UNACCOUNTED] = max(0.0, total - leaves)
    # Sums in another order differ in their last digit.
    return {look: value if value > 1e-6 * total else 0.0 for look, value in parts.items()}


def _transfer_s(row: Row) -> float:
    """Time of weight transfers within a stage; none of loading in steps, which is a stage by itself."""
    if look_of(row.stage) is style.LOADING:
        return 0.0
    # Both are medians over generations, and so may be more than the median of the whole.
    return min(row.time_s, (row.loading_s or 0.0) + (row.offloading_s or 0.0))


def _stacked(title: str, axis: str, unit: str, bars: Sequence[CaseBar], missing: Sequence[str], text: str) -> Picture:
    looks = [look for look in _LOOKS if any(bar.parts[look] > _LEAST_SHARE * bar.total for bar in bars)]
    note = f"Without a figure: {', '.join(missing)}" if missing else ""
    lines = textwrap.wrap(note, 130)
    top_in = 0.5 + style.legend_height_in(len(looks))
    rows_in = max(0.4, _ROW_IN * len(bars))
    figure = style.new_figure(top_in + rows_in + 0.55 + 0.16 * len(lines), title)
    style.legend(figure, looks, 0.4)
    axes = style.place(figure, _LABELS_IN, top_in, style.WIDTH_IN - _LABELS_IN - 0.15, rows_in)
    _draw_bars(axes, bars, looks, unit)
    axes.set_xlabel(axis)
    figure.text(0.1 / style.WIDTH_IN, 0.08 / figure.get_figheight(), "\n".join(lines), fontsize=8, va="bottom")
    return Picture(figure, _alt(title, bars, missing, unit), f"{text} {note}".strip())


def _draw_bars(axes: Axes, bars: Sequence[CaseBar], looks: Sequence[Look], unit: str) -> None:
    places = range(len(bars))
    left = [0.0] * len(bars)
    for look in looks:
        lengths = [bar.parts[look] for bar in bars]
        axes.barh(places, lengths, 0.78, left, **look.fill)
        left = [start + length for start, length in zip(left, lengths)]
    for i, bar in enumerate(bars):
        axes.annotate(bar.text(unit), (bar.total, i), (3, 0), textcoords="offset points", va="center", fontsize=8)
    # Room for the text at the end of the longest bars, which are nearly as long as the axes are wide.
    longest = max(bar.total for bar in bars) or 1
    widest = max(bar.total / longest + 0.013 * (8 + len(bar.ending)) for bar in bars)
    axes.set_xlim(0, longest * widest)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks(places, [shortened(bar.case, _LONGEST_NAME) for bar in bars])
    axes.grid(False, axis="y")


def _alt(title: str, bars: Sequence[CaseBar], missing: Sequence[str], unit: str) -> str:
    words = [_words(bar, unit) for bar in bars]
    if len(bars) > _MOST_WORDS:
        ordered = sorted(bars, key=lambda bar: bar.total)
        words = [f"from {_words(ordered[0], unit)}, to {_words(ordered[-1], unit)}"]
    if missing:
        more = f" and {len(missing) - _MOST_WORDS} more" if len(missing) > _MOST_WORDS else ""
        words.append(f"without a figure: {', '.join(missing[:_MOST_WORDS])}{more}")
    return f"{title} of {len(bars)} case{'s' if len(bars) > 1 else ''}: {'; '.join(words)}."


def _words(bar: CaseBar, unit: str) -> str:
    most = max(bar.parts, key=lambda look: bar.parts[look])
    share = f", most of it {most.label} with {rounded(bar.parts[most])} {unit}" if bar.total else ""
    return f"{bar.case} {bar.text(unit)}{share}"
