"""Cases as a comparison has them, and what it tells of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.tables import cases_table
from wanbench.compare.change_verdict import Comparison
from wanbench.compare.change_verdict import compare as compare_sides
from wanbench.compare.policy import MEASURE, STAGE
from wanbench.compare.sides import Side, side, side_of
from wanbench.compare.video_change import Videos
from wanbench.trace.reader import Trace

# A median with its standard error, None for one value.
Figure = tuple[float, float | None]


@dataclass(frozen=True)
class MadeCase:
    """A case as a row of a side, with its spread: figures by measure, and times by stage."""

    case: str = "a"
    status: str = "ok"
    started_at: str | None = None
    output_finite: bool | None = None
    doubt: str | None = None
    cold_only: bool = True
    busy_pct: float | None = None
    gpu_uuids: frozenset[str] = frozenset()
    settings: dict[str, Any] = field(default_factory=dict)
    how_often: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    software: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] | None = None
    figures: dict[str, Figure] = field(default_factory=dict)
    stages: dict[str, Figure] = field(default_factory=dict)


def case(name: str = "a", *, step_s: float = 1.0, **changes: Any) -> MadeCase:
    settings = {"model": "TI2V-5B", "task": "t2v", "size": "64*64", "frames": 5, "offload": "none", "weights": "random"}
    hardware = {"GPU": "G", "power limit (W)": 700.0, "CPU": "C"}
    figures = {"step_s": (step_s, 0.001), "gpu_mem_allocated_bytes": (2e9, None)}
    whole = MadeCase(name, settings=settings, hardware=hardware, software={"torch": "2.11.0"}, figures=figures)
    return replace(whole, **{"stages": {"T5_Encoding": (1, None)}} | changes)


def with_settings(name: str, **settings: Any) -> MadeCase:
    basis = case(name)
    return replace(basis, settings=basis.settings | settings)


def side_from(cases: Sequence[MadeCase], run: str) -> Side:
    """A side of a comparison; a case that has no start is of this run."""
    rows = [dict(vars(each)) for each in cases]
    spread_rows = [
        (row["case"], kind, key, value, error)
        for row in rows
        for kind, of_kind in ((MEASURE, row.pop("figures")), (STAGE, row.pop("stages")))
        for key, (value, error) in of_kind.items()
    ]
    for row in rows:
        row["started_at"] = row["started_at"] or run
    columns = ["case", "kind", "key", "value", "standard_error"]
    return side(rows, pd.DataFrame(spread_rows, columns=columns).astype({"standard_error": float}))


def compare(old: Side | Sequence[MadeCase], new: Side | Sequence[MadeCase]) -> Comparison:
    sides = [each if isinstance(each, Side) else side_from(each, run) for each, run in ((old, "old"), (new, "new"))]
    return compare_sides("old", *sides)


def measured_earlier(trace: Trace) -> Side:
    """The same figures as of another run."""
    return side_of([replace(trace, started_at="2026-01-01T10:00:00+00:00")])


def spread(trace: Trace) -> dict[str, Figure]:
    """Median and standard error of each measure and stage that the comparison takes of a trace."""
    rows = side_of([trace]).spread.itertuples()
    return {row.key: (row.value, None if pd.isna(row.standard_error) else row.standard_error) for row in rows}


def kept_videos(folder: Path) -> Videos:
    """Nothing was kept on either side."""
    return Videos(folder / "old/frames", folder / "frames", cases_table([]))


def verdict(comparison: Comparison, name: str) -> str:
    """Of the one row of this name."""
    return comparison.rows.set_index("name").loc[name, "verdict"]


def verdicts(comparison: Comparison, *names: str) -> set[str]:
    return {verdict(comparison, name) for name in names}
