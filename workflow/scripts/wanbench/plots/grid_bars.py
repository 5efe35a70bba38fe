"""All cases of a grid side by side: where their time went, and their energy."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.tables import records, records_by_case
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, described, notice
from wanbench.plots.segments import look_of
from wanbench.plots.style import Look
from wanbench.registry.stages import NOT_LEAVES, TOTAL_EXECUTION, is_stage

_LOOKS = (
    *(style.INITIALISATION, style.ENCODING, style.COMPILATION, style.LOADING, style.TRANSFER),
    *(style.DENOISING, style.DECODING, style.EXPORT, style.FURTHER, style.UNACCOUNTED),
)
_LABELS_IN, _ROW_IN = 2.5, 0.27
_LONGEST_NAME = 36
_LEAST_SHARE = 1e-3  # of a bar; less cannot be seen, and needs no place in the legend


def stage_times(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Where each case's Total_Execution went, in seconds."""
    return _stacked("Time", "s", cases, parts_of(cases, stages, "time_s"))


def energy(cases: pd.DataFrame, stages: pd.DataFrame) -> Picture:
    """Energy of each case's Total_Execution, in kJ; cases without a figure are named and have no bar."""
    return _stacked("Energy", "kJ", cases, parts_of(cases, stages, "energy_j") / 1000)


def parts_of(cases: pd.DataFrame, stages: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure of each case that has it (each row) by look of its stages."""
    parts, stages_of = {}, records_by_case(stages)
    for name in cases["case"]:
        rows = stages_of.get(name, [])
        if measure == "time_s" or any(row["stage"] == TOTAL_EXECUTION and row[measure] is not None for row in rows):
            parts[name] = _parts(rows, measure)
    return pd.DataFrame(list(parts.values()), index=list(parts), columns=list(_LOOKS), dtype=float)


def _parts(stages: Sequence[Mapping[str, Any]], measure: str) -> dict[Look, float]:
    """As the rows of the report's stage table: they add up to Total_Execution.

    Weight transfers within a stage stand apart, since with offloading they can be most of that stage.
    """
    parts = dict.fromkeys(_LOOKS, 0.0)
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


def _stacked(measure: str, unit: str, cases: pd.DataFrame, parts: pd.DataFrame) -> Picture:
    title, totals = f"{measure} by stage", parts.sum(axis=1)
    if parts.empty:
        return notice(title, WORDS.nothing(measure))
    looks = [look for look in _LOOKS if (parts[look] > _LEAST_SHARE * totals).any()]
    lines = textwrap.wrap(WORDS.missing([name for name in cases["case"] if name not in parts.index]), 130)
    rows_in = max(0.4, _ROW_IN * len(parts))
    figure, top_in = style.new_figure(title, rows_in + 0.55 + 0.16 * len(lines), looks)
    axes = style.place(figure, _LABELS_IN, top_in, style.WIDTH_IN - _LABELS_IN - 0.15, rows_in)
    style.stacked_bars(axes, parts[looks], [style.shortened(name, _LONGEST_NAME) for name in parts.index])
    shown = [case for case in records(cases) if case["case"] in parts.index]
    endings = [WORDS.ending(case, total, unit) for case, total in zip(shown, totals)]
    for i, (total, ending) in enumerate(zip(totals, endings)):
        axes.annotate(ending, (total, i), (3, 0), textcoords="offset points", va="center", fontsize=8)
    # Room for the text at the end of the longest bars, which are nearly as long as the axes are wide.
    longest = totals.max() or 1
    axes.set_xlim(0, longest * max(total / longest + 0.013 * len(ending) for total, ending in zip(totals, endings)))
    axes.set_xlabel(f"{measure} ({unit})")
    style.write(figure, 0.1, figure.get_figheight() - 0.08 - 0.16 * len(lines), "\n".join(lines), fontsize=8)
    return described(figure, WORDS.by_stage(title, unit, totals.tolist()))
