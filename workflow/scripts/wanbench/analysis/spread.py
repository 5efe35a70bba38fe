"""What a comparison takes of each case: medians of measures and of stages' times, with their standard errors."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.outliers import median_error
from wanbench.analysis.tables import TraceTables, records_by_case
from wanbench.registry import stages as stage_names

MEASURE, STAGE = "measure", "stage"
# Of all denoising steps of a case three rows are made, each of the values of a figure.
STEP_STAGES = {"First_Step": "first_step_s", "Typical_Step": "step_s", "Switch_Step": "switch_step_s"}
FIRST_STEP, TYPICAL_STEP, SWITCH_STEP = STEP_STAGES


def spread_of(tables: TraceTables, measures: Sequence[str]) -> pd.DataFrame:
    """One row for each measure and stage of each case that was measured, stages in the order of a report.

    Columns: case, kind ("measure" or "stage"), key, and of its values `value`, the median, which for a measure is that
    of the cases table; `standard_error`, empty for a single value; and `n`, their number.

    Args:
        measures: keys of `tables.values`.
    """
    cases = tables.cases["case"]
    values = tables.values.assign(case=tables.values["trace"].map(cases), kind=MEASURE)
    long = pd.concat([values[values["key"].isin(measures)], _stage_values(tables, values)])
    grouped = long.groupby(["case", "kind", "key"], sort=False)["value"]
    return grouped.agg(value="median", standard_error=lambda each: median_error(list(each)), n="count").reset_index()


def _stage_values(tables: TraceTables, values: pd.DataFrame) -> pd.DataFrame:
    stages = tables.stages
    own = (
        stages[stages["measured"] & ~stages["interrupted"].fillna(False)].groupby(["case", "stage"])["time_s"].agg(list)
    )
    figures = values.groupby(["case", "key"])["value"].agg(list)
    rows = []
    for case, records in records_by_case(stages).items():
        times_s: dict[str, list[float]] = {}
        for row in breakdown(records):
            if stage_names.step_index(row.stage) is not None:
                times_s |= {name: figures.get((case, key), []) for name, key in STEP_STAGES.items()}
            else:
                # Rows that only the breakdown has, and a compilation in a warm-up, have one value.
                times_s[row.stage] = own.get((case, row.stage), [] if row.interrupted else [row.time_s])
        rows += [(case, STAGE, stage, value) for stage, each in times_s.items() for value in each]
    return pd.DataFrame(rows, columns=["case", "kind", "key", "value"])
