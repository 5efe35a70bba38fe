"""All cases of a grid side by side: where their time went, and their energy."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from wanbench.analysis.breakdown import Row, breakdown
from wanbench.analysis.tables import records_by_case
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, described, notice
from wanbench.plots.segments import look_of
from wanbench.plots.style import Look, rounded, shortened
from wanbench.registry.stages import NOT_LEAVES, OK, TOTAL_EXECUTION, is_stage

_LOOKS = (
    *(style.INITIALISATION, style.ENCODING, style.COMPILATION, style.LOADING, style.TRANSFER),
    *(style.DENOISING, style.DECODING, style.EXPORT, style.FURTHER, style.UNACCOUNTED),
)
_LABELS_IN, _ROW_IN = 2.5, 0.27
_LONGEST_NAME = 36
_LEAST_SHARE = 1e-3  # of a bar; less cannot be seen, and needs no place in the legend


def stage_times(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Where each case's Total_Execution went, in seconds."""
    parts = parts_of(cases, stages, "time_s")
    if parts.empty:
        return notice("Time by stage", WORDS.NO_TIME)
    return _stacked("Time by stage", "Time (s)", "s", cases, parts)


def energy(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Energy of each case's Total_Execution, in kJ; cases without a figure are named and have no bar."""
    parts = parts_of(cases, stages, "energy_j") / 1000
    if parts.empty:
        return notice("Energy by stage", WORDS.NO_ENERGY)
    return _stacked("Energy by stage", "Energy (kJ)", "kJ", cases, parts)


def parts_of(cases: pd.DataFrame, stages: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure of each case that has it (each row) by kind of stage (the label of its look)."""
    stages_of = records_by_case(stages)
    parts = {}
    for name in cases["case"]:
        rows = stages_of.get(name, [])
        if measure == "time_s" or any(row["stage"] == TOTAL_EXECUTION and row[measure] is not None for row in rows):
            parts[name] = {look.label: value for look, value in _parts(rows, measure).items()}
    return pd.DataFrame.from_dict(parts, orient="index", columns=[look.label for look in _LOOKS], dtype=float)


def _parts(stages: Sequence[Mapping[str, Any]], measure: str) -> dict[Look, float]:
    """As the rows of the report's stage table: they add up to Total_Execution.

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
    parts[style.FURTHER] = leaves - shown
    parts[style.UNACCOUNTED] = total - leaves
    # Sums in another order differ in their last digit.
    return {look: value if value > 1e-6 * total else 0.0 for look, value in parts.items()}


def _transfer_s(row: Row) -> float:
    """Time of weight transfers within a stage; none of loading in steps, which is a stage by itself."""
    if look_of(row.stage) is style.LOADING:
        return 0.0
    # Both are medians over generations, and so may be more than the median of the whole.
    return min(row.time_s, (row.loading_s or 0.0) + (row.offloading_s or 0.0))


def _stacked(title: str, axis: str, unit: str, cases: pd.DataFrame, parts: pd.DataFrame) -> Picture:
    totals = parts.sum(axis=1)
    looks = [look for look in _LOOKS if (parts[look.label] > _LEAST_SHARE * totals).any()]
    of_case = records_by_case(cases)
    endings = [_ending(of_case[name][0], total, unit) for name, total in totals.items()]
    missing = [name for name in cases["case"] if name not in parts.index]
    note = f"Without a figure: {', '.join(missing)}" if missing else ""
    lines = textwrap.wrap(note, 130)
    top_in = 0.5 + style.legend_height_in(len(looks))
    rows_in = max(0.4, _ROW_IN * len(parts))
    figure = style.new_figure(top_in + rows_in + 0.55 + 0.16 * len(lines), title)
    style.legend(figure, looks, 0.4)
    axes = style.place(figure, _LABELS_IN, top_in, style.WIDTH_IN - _LABELS_IN - 0.15, rows_in)
    _draw_bars(axes, parts, looks, endings)
    axes.set_xlabel(axis)
    figure.text(0.1 / style.WIDTH_IN, 0.08 / figure.get_figheight(), "\n".join(lines), fontsize=8, va="bottom")
    return described(figure, WORDS.by_stage(title, unit, totals.tolist()))


def _ending(case: Mapping[str, Any], total: float, unit: str) -> str:
    """What stands at the end of a bar; no figure for a case that never came to Total_Execution."""
    if case["status"] == OK:
        special = f"{case['generations']} generations" if case["generations"] > 1 else ""
    else:
        special = case["status"] + (f" in {case['stage_reached']}" if case["stage_reached"] else "")
    if not total:
        return special
    return f"{rounded(total)} {unit}" + (f" ({special})" if special else "")


def _draw_bars(axes: Axes, parts: pd.DataFrame, looks: Sequence[Look], endings: Sequence[str]) -> None:
    places = range(len(parts))
    left = pd.Series(0.0, parts.index)
    for look in looks:
        axes.barh(places, parts[look.label], 0.78, left, **look.fill)
        left += parts[look.label]
    totals = parts.sum(axis=1)
    for i, (total, ending) in enumerate(zip(totals, endings)):
        axes.annotate(ending, (total, i), (3, 0), textcoords="offset points", va="center", fontsize=8)
    # Room for the text at the end of the longest bars, which are nearly as long as the axes are wide.
    longest = totals.max() or 1
    axes.set_xlim(0, longest * max(total / longest + 0.013 * len(ending) for total, ending in zip(totals, endings)))
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks(places, [shortened(name, _LONGEST_NAME) for name in parts.index])
    axes.grid(False, axis="y")
