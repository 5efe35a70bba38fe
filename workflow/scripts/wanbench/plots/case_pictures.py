"""The pictures of one case, from its rows of the tables and the samples of its trace."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wanbench.plots.picture import save
from wanbench.plots.segments import StageRow
from wanbench.plots.steps import step_times
from wanbench.plots.timeline import timeline
from wanbench.trace.reader import read_counters


def draw_case(case: Mapping[str, Any], stages: Sequence[StageRow], trace: Path, folder: Path) -> None:
    """Save the pictures of a case in a folder of its own."""
    pictures = {"timeline": timeline(case, stages, read_counters(trace)), "steps": step_times(case, stages)}
    save(pictures, folder)
