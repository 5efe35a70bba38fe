"""The pictures of one case, from its rows of the tables, the samples of its trace and the frames that were kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wanbench.plots.kernel_bars import kernel_bars
from wanbench.plots.picture import save
from wanbench.plots.segments import StageRow
from wanbench.plots.side_by_side import side_by_side
from wanbench.plots.steps import step_times
from wanbench.plots.timeline import timeline
from wanbench.trace.reader import read_counters


def draw_case(
    case: Mapping[str, Any],
    stages: Sequence[StageRow],
    kernels: Sequence[Mapping[str, Any]],
    trace: Path,
    folder: Path,
    frames: Path,
) -> None:
    """Save the pictures of a case in a folder of its own; `frames` has the kept frames of all cases."""
    pictures = {
        "timeline": timeline(case, stages, read_counters(trace)),
        "steps": step_times(case, stages),
        "kernels": kernel_bars(case, kernels),
        "frames": side_by_side(case, frames),
    }
    save({name: picture for name, picture in pictures.items() if picture is not None}, folder)
