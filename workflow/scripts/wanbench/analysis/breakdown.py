"""The stages of a case as the report lists them: one row a stage, whatever the number of generations."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from typing import Any

from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import HIGHEST, MEDIAN, OF_STAGES

UNACCOUNTED = "Unaccounted"
FURTHER_GENERATIONS = "Further_Generations"


_JOINS: dict[str, Callable[[list[float]], float]] = {MEDIAN: statistics.median, HIGHEST: max}
_JOINED = {metric.key: _JOINS[metric.over_generations] for metric in OF_STAGES if metric.over_generations in _JOINS}

Row = make_dataclass(
    "Row",
    [
        ("stage", str),
        ("time_s", float),
        *((key, float | None, None) for key in (*_JOINED, "min_s", "max_s", "first_s") if key != "time_s"),
        ("samples", int | None, None),
        ("interrupted", bool, False),
    ],
    frozen=True,
)
Row.__doc__ = """A stage over the measured generations: each metric that the registry joins, None where one lacks it.

Attributes:
    min_s, max_s: spread over the measured generations; None with one generation.
    first_s: time in the first generation of the process; None if that is excluded or has no such stage.
    samples: number of samples taken in the stage, over the measured generations.
"""


def breakdown(stages: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows in the order of the reference report, whose leaf times add up to `Total_Execution`.

    With several generations a row is a median, so the other generations' time stands in a row of its own,
    `Further_Generations`; what no stage covers stands in `Unaccounted`.

    Args:
        stages: the rows of one case in the stages table, None for what was not measured.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for stage in stages:
        by_name.setdefault(stage["stage"], []).append(stage)
    rows = [_row(name, by_name[name]) for name in sorted(by_name, key=stage_names.stage_order)]
    rows = [row for row in rows if row is not None]
    total = next((row for row in rows if row.stage == stage_names.TOTAL_EXECUTION), None)
    if total is None:
        return rows
    leaves_s = sum(row.time_s for row in rows if row.stage not in stage_names.NOT_LEAVES)
    all_leaves_s = sum(stage["time_s"] for stage in stages if stage["stage"] not in stage_names.NOT_LEAVES)
    rest = [Row(UNACCOUNTED, total.time_s - all_leaves_s)]
    if len({stage["generation"] for stage in stages} - {None}) > 1:
        rest.insert(0, Row(FURTHER_GENERATIONS, all_leaves_s - leaves_s))
    return [row for row in rows if row is not total] + rest + [total]


def _row(name: str, stages: list[Mapping[str, Any]]) -> Row | None:
    """The row of a stage; None if it ran only in generations that are not measured, as all but compilation may."""
    measured = [stage for stage in stages if stage["measured"]]
    if name == stage_names.COMPILATION:
        measured = measured or stages
    if not measured:
        return None
    times_s = [stage["time_s"] for stage in measured]
    first = next((stage for stage in stages if stage["generation"] == 0 and not stage["excluded"]), None)
    return Row(
        stage=name,
        min_s=min(times_s) if len(measured) > 1 else None,
        max_s=max(times_s) if len(measured) > 1 else None,
        first_s=first and first["time_s"],
        samples=sum(stage["samples"] for stage in measured),
        interrupted=any(stage["interrupted"] for stage in measured),
        **{key: _joined(measured, key, join) for key, join in _JOINED.items()},
    )


def _joined(stages: list[Mapping[str, Any]], measure: str, join: Callable[[list[float]], float]) -> float | None:
    known = [stage[measure] for stage in stages if stage[measure] is not None]
    # Of some of them it would stand beside the time of all.
    return join(known) if len(known) == len(stages) else None
