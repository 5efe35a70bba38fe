"""The stages of a case as the report lists them: one row a stage, whatever the number of generations."""

import statistics
from types import SimpleNamespace
from typing import Any

from wanbench.analysis.tables import TableRow, TableRows
from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import HIGHEST, MEDIAN, OF_STAGES

UNACCOUNTED = "Unaccounted"
FURTHER_GENERATIONS = "Further_Generations"

_JOINS = {MEDIAN: statistics.median, HIGHEST: max}
_JOINED = {metric.key: _JOINS[metric.over_generations] for metric in OF_STAGES if metric.over_generations in _JOINS}


class Row(SimpleNamespace):
    """A stage over the measured generations: each metric that the registry joins, None where one lacks it.

    Beside them min_s and max_s, None with one generation; first_s, of the first generation of the process, None if that
    is excluded or has no such stage; and whether it was interrupted.
    """

    def __init__(self, stage: str, time_s: float, **figures: Any) -> None:
        absent = dict.fromkeys((*_JOINED, "min_s", "max_s", "first_s")) | {"interrupted": False}
        super().__init__(**absent | figures | {"stage": stage, "time_s": time_s})


def breakdown(stages: TableRows) -> list[Row]:
    """Rows in the order of the reference report, whose leaf times add up to `Total_Execution`.

    With several generations a row is a median, so the other generations' time stands in a row of its own,
    `Further_Generations`; what no stage covers stands in `Unaccounted`.

    Args:
        stages: the rows of one case in the stages table, None for what was not measured.
    """
    by_name: dict[str, list[TableRow]] = {}
    for stage in stages:
        by_name.setdefault(stage["stage"], []).append(stage)
    rows = [_row(name, by_name[name]) for name in sorted(by_name, key=stage_names.stage_order)]
    rows = [row for row in rows if row is not None]
    # The last in their order.
    if not rows or rows[-1].stage != stage_names.TOTAL_EXECUTION:
        return rows
    total = rows.pop()
    leaves_s = sum(row.time_s for row in rows if row.stage not in stage_names.NOT_LEAVES)
    all_leaves_s = sum(stage["time_s"] for stage in stages if stage["stage"] not in stage_names.NOT_LEAVES)
    rest = [Row(UNACCOUNTED, total.time_s - all_leaves_s)]
    if len({stage["generation"] for stage in stages} - {None}) > 1:
        rest.insert(0, Row(FURTHER_GENERATIONS, all_leaves_s - leaves_s))
    return [*rows, *rest, total]


def _row(name: str, stages: list[TableRow]) -> Row | None:
    """The row of a stage; None if it ran only in generations that are not measured, as all but compilation may."""
    measured = [stage for stage in stages if stage["measured"]]
    if name == stage_names.COMPILATION:
        measured = measured or stages
    if not measured:
        return None
    # What only some of them have would stand beside the time of all.
    values = {key: [stage[key] for stage in measured] for key in _JOINED}
    times_s = values["time_s"]
    first = next((stage for stage in stages if stage["generation"] == 0 and not stage["excluded"]), None)
    return Row(
        stage=name,
        min_s=min(times_s) if len(measured) > 1 else None,
        max_s=max(times_s) if len(measured) > 1 else None,
        first_s=first and first["time_s"],
        interrupted=any(stage["interrupted"] for stage in measured),
        **{key: join(values[key]) if None not in values[key] else None for key, join in _JOINED.items()},
    )
