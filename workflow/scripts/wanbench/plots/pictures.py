"""All pictures of a report: from the tables, the samples of traces and the frames that were kept."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.collect import case_of
from wanbench.analysis.tables import records_by_case
from wanbench.plots.grid_bars import energy, stage_times
from wanbench.plots.kernel_bars import kernel_bars
from wanbench.plots.picture import SavedPicture, save
from wanbench.plots.segments import StageRow
from wanbench.plots.side_by_side import side_by_side
from wanbench.plots.steps import step_times
from wanbench.plots.time_memory import time_memory
from wanbench.plots.timeline import timeline
from wanbench.trace.reader import read_counters
from wanbench.util.lifeline import map_in_processes


def draw(
    cases: pd.DataFrame,
    stages: pd.DataFrame,
    settings: pd.DataFrame,
    kernels: pd.DataFrame,
    traces: Sequence[Path],
    plots: Path,
    processes: int = 1,
) -> dict[str | None, list[SavedPicture]]:
    """The pictures of each case, and under None those of all cases together.

    Args:
        plots: where the pictures go. Beside it lies `frames`, with the kept frames of each case.
    """
    rows, stages_of, kernels_of = (records_by_case(table) for table in (cases, stages, kernels))
    trace_of = {case_of(file): file for file in traces}
    # Also where there is no case.
    (plots / "cases").mkdir(parents=True, exist_ok=True)
    of_cases = map_in_processes(
        partial(draw_case, frames=plots.parent / "frames"),
        [case for [case] in rows.values()],
        [stages_of.get(name, []) for name in rows],
        [kernels_of.get(name, []) for name in rows],
        [trace_of[name] for name in rows],
        [plots / "cases" / name for name in rows],
        processes=processes,
    )
    of_all = {"stage_times": stage_times(cases, stages), "time_memory": time_memory(settings)}
    return {None: save(of_all | {"energy": energy(cases, stages)}, plots)} | dict(zip(rows, of_cases))


def draw_case(
    case: Mapping[str, Any],
    stages: Sequence[StageRow],
    kernels: Sequence[Mapping[str, Any]],
    trace: Path,
    folder: Path,
    frames: Path,
) -> list[SavedPicture]:
    """The pictures of one case, saved in a folder of its own; `frames` has the kept frames of all cases."""
    pictures = {
        "timeline": timeline(case, stages, read_counters(trace)),
        "steps": step_times(case, stages),
        "kernels": kernel_bars(case, kernels),
        "frames": side_by_side(case, frames),
    }
    return save({name: picture for name, picture in pictures.items() if picture is not None}, folder)
