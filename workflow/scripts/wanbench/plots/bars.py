"""Stacked bars: where the time and energy of all cases went."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.tables import TableRows, records, records_by_case
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, notice
from wanbench.plots.segments import look_of
from wanbench.plots.style import Look
from wanbench.registry.stages import NOT_LEAVES, TOTAL_EXECUTION, is_stage

_STAGES = (
    *(style.INITIALISATION, style.ENCODING, style.COMPILATION, style.LOADING, style.TRANSFER),
    *(style.DENOISING, style.DECODING, style.EXPORT, style.FURTHER, style.UNACCOUNTED),
)
_LONGEST_NAME = 36
_ROW_IN = 0.27
_LEAST_SHARE = 1e-3  # of a bar; less cannot be seen, and needs no place in the legend


def stage_times(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Where each case's Total_Execution went, in seconds."""
    return _by_stage("Time", "s", cases, parts_of(cases, stages, "time_s"))


def energy(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Energy of each case's Total_Execution, in kJ; cases without a figure are named and have no bar."""
    return _by_stage("Energy", "kJ", cases, parts_of(cases, stages, "energy_j") / 1000)


def parts_of(cases: pd.DataFrame, stages: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure of each case that has it (each row) by look of its stages."""
    parts, stages_of = {}, records_by_case(stages)
    for name in cases["case"]:
        rows = stages_of.get(name, [])
        if measure == "time_s" or any(row["stage"] == TOTAL_EXECUTION and row[measure] is not None for row in rows):
            parts[name] = _parts(rows, measure)
    return pd.DataFrame(list(parts.values()), index=list(parts), columns=list(_STAGES), dtype=float)


def _parts(stages: TableRows, measure: str) -> dict[Look, float]:
    """As the rows of the report's stage table: they add up to Total_Execution.

    Weight transfers within a stage stand apart, since with offloading they can be most of that stage.
    """
    parts = dict.fromkeys(_STAGES, 0.0)
    for row in breakdown(stages):
        value, look = getattr(row, measure), look_of(row.stage)
        if is_stage(row.stage) and row.stage not in NOT_LEAVES and value is not None:
            transfer_s = 0.0
            # Loading in steps is a stage by itself. Medians of parts may be more than the median of the whole.
            if measure == "time_s" and look is not style.LOADING:
                transfer_s = min(value, (row.loading_s or 0.0) + (row.offloading_s or 0.0))
            parts[look] += value - transfer_s
            parts[style.TRANSFER] += transfer_s
    leaves = sum(stage[measure] or 0 for stage in stages if stage["stage"] not in NOT_LEAVES)
    total = sum(stage[measure] or 0 for stage in stages if stage["stage"] == TOTAL_EXECUTION)
    parts |= {style.FURTHER: leaves - sum(parts.values()), style.UNACCOUNTED: total - leaves}
    # Sums in another order differ in their last digit.
    return {look: value if value > 1e-6 * total else 0.0 for look, value in parts.items()}


def _by_stage(measure: str, unit: str, cases: pd.DataFrame, parts: pd.DataFrame) -> Picture:
    title, totals = f"{measure} by stage", parts.sum(axis=1)
    if parts.empty:
        return notice(title, WORDS.nothing(measure))
    axes = _stacked(title, f"{measure} ({unit})", parts)
    shown = [case for case in records(cases) if case["case"] in parts.index]
    endings = [WORDS.ending(case, total, unit) for case, total in zip(shown, totals)]
    for i, (total, ending) in enumerate(zip(totals, endings)):
        axes.annotate(ending, (total, i), (3, 0), textcoords="offset points", va="center", fontsize=8)
    missing = [name for name in cases["case"] if name not in parts.index]
    return Picture(axes.figure, WORDS.by_stage(title, unit, totals.tolist(), missing))


def _stacked(title: str, measure: str, parts: pd.DataFrame) -> Axes:
    """A bar for each row, with a piece for each column, whose name is its look."""
    looks = [look for look in parts if (parts[look] > _LEAST_SHARE * parts.sum(axis=1)).any()]
    axes = style.new_figure(title, 0.55 + max(0.4, _ROW_IN * len(parts)), looks).subplots()
    left = np.zeros(len(parts))
    for look in looks:
        widths = parts[look].to_numpy()
        there = np.flatnonzero(widths)
        axes.barh(there, widths[there], 0.78, left[there], **look.fill)
        left += widths
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks(range(len(parts)), [style.shortened(name, _LONGEST_NAME) for name in parts.index])
    axes.set_xlabel(measure)
    axes.grid(False, axis="y")
    return axes
