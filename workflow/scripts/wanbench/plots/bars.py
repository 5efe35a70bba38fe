"""Stacked bars: where the time and energy of all cases went, and of which kernels a step and a decoding consist."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.tables import CaseRow, records, records_by_case
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, notice
from wanbench.plots.segments import StageRow, look_of
from wanbench.plots.style import Look
from wanbench.registry.kernel_classes import KERNEL_CLASSES
from wanbench.registry.stages import NOT_LEAVES, TOTAL_EXECUTION, is_stage

_STAGES = (
    *(style.INITIALISATION, style.ENCODING, style.COMPILATION, style.LOADING, style.TRANSFER),
    *(style.DENOISING, style.DECODING, style.EXPORT, style.FURTHER, style.UNACCOUNTED),
)
_KERNEL_FILLS = {
    "attention": (style.BLUE, ""),
    "matmul": (style.SKY, ""),
    "matmul_float8": (style.SKY, "...."),
    "matmul_int8": (style.SKY, "xxxx"),
    "matmul_float32": (style.SKY, "////"),
    "convolution": (style.GREEN, "||||"),
    "elementwise": (style.ORANGE, ""),
    "copy": (style.VERMILION, "\\\\\\\\"),
    "transfer": (style.PEACH, "////"),
    "communication": (style.PURPLE, "----"),
    "other": (style.GREY, ""),
    "gaps": (style.PALE, ""),
}
_KERNELS = {key: Look(KERNEL_CLASSES.get(key, "no kernel"), *fill) for key, fill in _KERNEL_FILLS.items()}
_LONGEST_NAME = 36
_LEAST_SHARE = 1e-3  # of a bar; less cannot be seen, and needs no place in the legend


def stage_times(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Where each case's Total_Execution went, in seconds."""
    return _by_stage("Time", "s", cases, parts_of(cases, stages, "time_s"))


def energy(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Energy of each case's Total_Execution, in kJ; cases without a figure are named and have no bar."""
    return _by_stage("Energy", "kJ", cases, parts_of(cases, stages, "energy_j") / 1000)


def kernel_bars(case: CaseRow, kernels: Sequence[Mapping[str, Any]]) -> Picture | None:
    """A bar for the step and one for the decoding; None for a case without a profile.

    Args:
        kernels: its rows of the kernels table.
    """
    if not kernels:
        return None
    table = pd.DataFrame(kernels)
    shares_pct = table.pivot(index="stage", columns="class", values="share_pct")
    shares_pct = shares_pct.reindex(columns=list(_KERNELS)).rename(columns=_KERNELS).fillna(0.0)
    names = [f"{stage} ({time_s:.3g} s)" for stage, time_s in table.groupby("stage")["profiled_s"].first().items()]
    figure, axes = _stacked(f"{WORDS.heading(case)}: kernels", "Share of the time (%)", shares_pct, names, 1.6, 0.55)
    axes.set_xlim(0, max(100.0, shares_pct.sum(axis=1).max()))
    largest = {stage: (shares.idxmax().label, shares.max()) for stage, shares in shares_pct.iterrows()}
    return Picture(figure, WORDS.kernels(case, largest))


def parts_of(cases: pd.DataFrame, stages: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure of each case that has it (each row) by look of its stages."""
    parts, stages_of = {}, records_by_case(stages)
    for name in cases["case"]:
        rows = stages_of.get(name, [])
        if measure == "time_s" or any(row["stage"] == TOTAL_EXECUTION and row[measure] is not None for row in rows):
            parts[name] = _parts(rows, measure)
    return pd.DataFrame(list(parts.values()), index=list(parts), columns=list(_STAGES), dtype=float)


def _parts(stages: Sequence[StageRow], measure: str) -> dict[Look, float]:
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
    names = [style.shortened(name, _LONGEST_NAME) for name in parts.index]
    figure, axes = _stacked(title, f"{measure} ({unit})", parts, names, 2.5, 0.27)
    shown = [case for case in records(cases) if case["case"] in parts.index]
    endings = [WORDS.ending(case, total, unit) for case, total in zip(shown, totals)]
    for i, (total, ending) in enumerate(zip(totals, endings)):
        axes.annotate(ending, (total, i), (3, 0), textcoords="offset points", va="center", fontsize=8)
    # Room for the text at the end of the longest bars, which are nearly as long as the axes are wide.
    longest = totals.max() or 1
    axes.set_xlim(0, longest * max(total / longest + 0.013 * len(ending) for total, ending in zip(totals, endings)))
    missing = [name for name in cases["case"] if name not in parts.index]
    return Picture(figure, WORDS.by_stage(title, unit, totals.tolist(), missing))


def _stacked(
    title: str, measure: str, parts: pd.DataFrame, names: Sequence[str], names_in: float, row_in: float
) -> tuple[Figure, Axes]:
    """A bar for each row, with a piece for each column, whose name is its look."""
    looks = [look for look in parts if (parts[look] > _LEAST_SHARE * parts.sum(axis=1)).any()]
    rows_in = max(0.4, row_in * len(parts))
    figure, top_in = style.new_figure(title, rows_in + 0.55, looks)
    axes = style.place(figure, names_in, top_in, style.WIDTH_IN - names_in - 0.15, rows_in)
    left = np.zeros(len(parts))
    for look in looks:
        widths = parts[look].to_numpy()
        there = np.flatnonzero(widths)
        axes.barh(there, widths[there], 0.78, left[there], **look.fill)
        left += widths
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_yticks(range(len(parts)), names)
    axes.set_xlabel(measure)
    axes.grid(False, axis="y")
    return figure, axes
