"""Cases as a comparison has them, and what it tells of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wanbench.analysis.tables import cases_table
from wanbench.compare.change_verdict import compare as compare_sides
from wanbench.compare.sides import SideCase, side_of
from wanbench.compare.video_change import Videos
from wanbench.registry.policies import MEASURE, STAGE
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace

# A median with its standard error, None for one value.
Figure = tuple[float, float | None]


_SETTINGS = {"model": "TI2V-5B", "task": "t2v", "size": "64*64", "frames": 5, "offload": "none", "weights": "random"}
_HARDWARE = {"GPU": "G", "power limit (W)": 700.0, "CPU": "C"}
_USUAL = {"settings": _SETTINGS, "hardware": _HARDWARE, "software": {"torch": "2.11.0"}}


def case(
    name: str = "a",
    *,
    step_s: float = 1.0,
    figures: Mapping[str, Figure] | None = None,
    stages: Mapping[str, Figure] | None = None,
    **changes: Any,
) -> SideCase:
    """A case of a side: figures by measure, times by stage, and settings, hardware and software that are not usual."""
    usual = {"step_s": (step_s, 0.001), "gpu_mem_allocated_bytes": (2e9, None)}
    kinds = {MEASURE: usual if figures is None else figures, STAGE: stages or {"T5_Encoding": (1, None)}}
    found = {(kind, key): figure for kind, of_kind in kinds.items() for key, figure in of_kind.items()}
    known = {key: of_kind | changes.pop(key, {}) for key, of_kind in _USUAL.items()}
    return SideCase(name, figures=found, **known, **changes)


def compare(old: Sequence[SideCase], new: Sequence[SideCase]) -> dict[str, Any]:
    """A case that has no start is of this run, or of the other."""
    sides = [
        [each if each.started_at else replace(each, started_at=run) for each in side]
        for side, run in ((old, "old"), (new, "new"))
    ]
    return compare_sides("old", *sides)


def measured_earlier(trace: Trace) -> list[SideCase]:
    """The same figures as of another run."""
    return side_of([replace(trace, started_at="2026-01-01T10:00:00+00:00")])


def spread(trace: Trace) -> dict[str, Figure]:
    """Median and standard error of each measure and stage that the comparison takes of a trace."""
    (of_trace,) = side_of([trace])
    return {key: figure for (_, key), figure in of_trace.figures.items()}


def kept_videos(folder: Path) -> Videos:
    """Nothing was kept on either side."""
    return Videos(folder / "old/frames", folder / "frames", cases_table([]))


def render(comparison: dict[str, Any]) -> str:
    """As Markdown."""
    return rendered("comparison.md.j2", **comparison)


def verdict(comparison: dict[str, Any], name: str) -> str:
    """Of the one row of this name."""
    (row,) = (row for row in comparison["rows"] if row["name"] == name)
    return row["verdict"]


def verdicts(comparison: dict[str, Any], *names: str) -> set[str]:
    return {verdict(comparison, name) for name in names}
