"""All pictures of a report: from the tables, the samples of traces and the frames that were kept."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from wanbench.analysis.collect import case_of
from wanbench.analysis.tables import TableRow, TableRows, records, records_by_case
from wanbench.plots.bars import energy, stage_times
from wanbench.plots.picture import SavedPicture, save
from wanbench.plots.side_by_side import side_by_side
from wanbench.plots.steps import step_times
from wanbench.plots.time_memory import time_memory
from wanbench.plots.timeline import timeline
from wanbench.trace.reader import read_counters
from wanbench.util.lifeline import map_in_processes


def draw(
    tables: Mapping[str, pd.DataFrame], traces: Sequence[Path], plots: Path, processes: int
) -> dict[str | None, list[SavedPicture]]:
    """The pictures of each case, and under None those of all cases together.

    Args:
        tables: by name, as docs/tables.md has them: cases, stages and settings.
        plots: where the pictures go. Beside it lies `frames`, with the kept frames of each case.
    """
    cases, stages = tables["cases"], tables["stages"]
    rows, stages_of = records(cases), records_by_case(stages)
    trace_of = {case_of(file): file for file in traces}
    # Also where there is no case.
    (plots / "cases").mkdir(parents=True, exist_ok=True)
    of_cases = map_in_processes(
        partial(draw_case, plots=plots),
        rows,
        [stages_of.get(row["case"], []) for row in rows],
        [trace_of[row["case"]] for row in rows],
        processes=processes,
    )
    of_all = {"stage_times": stage_times(cases, stages), "time_memory": time_memory(tables["settings"])}
    of_all["energy"] = energy(cases, stages)
    return {None: save(of_all, plots)} | {row["case"]: of_case for row, of_case in zip(rows, of_cases)}


def draw_case(case: TableRow, stages: TableRows, trace: Path, plots: Path) -> list[SavedPicture]:
    """The pictures of one case, saved in a folder of its own."""
    pictures = {
        "timeline": timeline(case, stages, read_counters(trace)),
        "steps": step_times(case, stages),
        "frames": side_by_side(case, plots.parent / "frames"),
    }
    drawn = {name: picture for name, picture in pictures.items() if picture is not None}
    return save(drawn, plots / "cases" / case["case"])
