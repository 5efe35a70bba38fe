"""The stages of a case as the report lists them: one row a stage, whatever the number of generations."""

from dataclasses import dataclass

import pandas as pd

from wanbench.trace import names

UNACCOUNTED = "Unaccounted"
FURTHER_GENERATIONS = "Further_Generations"


@dataclass(frozen=True)
class Row:
    """A stage over the generations that count.

    Attributes:
        time_s: median.
        min_s, max_s: spread over the generations that count; None with one generation.
        first_s: time in the first generation of the process, whether or not it counts; None if it is the only one.
        cpu_pct, sm_activity_pct, comp_load_pct_s, process_cpu_pct: medians.
        gpu_mem_allocated_bytes and the other memory: highest.
        samples: number of samples taken in the stage, over the generations that count.
    """

    stage: str
    time_s: float
    min_s: float | None = None
    max_s: float | None = None
    first_s: float | None = None
    gpu_mem_allocated_bytes: float | None = None
    gpu_mem_reserved_bytes: float | None = None
    cpu_pct: float | None = None
    sys_mem_bytes: float | None = None
    sm_activity_pct: float | None = None
    comp_load_pct_s: float | None = None
    process_cpu_pct: float | None = None
    process_mem_bytes: float | None = None
    loading_s: float | None = None
    offloading_s: float | None = None
    samples: int | None = None
    interrupted: bool = False


_MEDIANS = (
    "time_s",
    "cpu_pct",
    "sm_activity_pct",
    "comp_load_pct_s",
    "process_cpu_pct",
    "loading_s",
    "offloading_s",
)
_HIGHEST = ("gpu_mem_allocated_bytes", "gpu_mem_reserved_bytes", "sys_mem_bytes", "process_mem_bytes")


def breakdown(stages: pd.DataFrame) -> list[Row]:
    """Rows in the order of the reference report, whose leaf times add up to `Total_Execution`.

    With several generations a row is a median, so the other generations' time stands in a row of its own,
    `Further_Generations`; what no stage covers stands in `Unaccounted`.

    Args:
        stages: the rows of one case in the stages table.
    """
    counted = stages[stages["counted"]]
    rows = [_row(str(name), group, stages) for name, group in counted.groupby("stage", sort=False)]
    rows.sort(key=lambda row: names.stage_order(row.stage))
    total = next((row for row in rows if row.stage == names.TOTAL_EXECUTION), None)
    if total is None:
        return rows
    leaves_s = sum(row.time_s for row in rows if row.stage not in names.NOT_LEAVES)
    all_leaves_s = float(stages.loc[~stages["stage"].isin(names.NOT_LEAVES), "time_s"].sum())
    rest = [Row(UNACCOUNTED, total.time_s - all_leaves_s)]
    if stages["generation"].nunique() > 1:
        rest.insert(0, Row(FURTHER_GENERATIONS, all_leaves_s - leaves_s))
    return [row for row in rows if row is not total] + rest + [total]


def _row(name: str, group: pd.DataFrame, stages: pd.DataFrame) -> Row:
    values: dict[str, object] = {key: _value(group[key].median()) for key in _MEDIANS}
    values |= {key: _value(group[key].max()) for key in _HIGHEST}
    generations = stages.loc[stages["stage"] == name, ["generation", "time_s"]]
    if len(group) > 1:
        values |= {"min_s": float(group["time_s"].min()), "max_s": float(group["time_s"].max())}
    if len(generations) > 1:
        values["first_s"] = float(generations.sort_values("generation")["time_s"].iloc[0])
    return Row(
        stage=name,
        samples=int(group["samples"].sum()),
        interrupted=bool(group["interrupted"].fillna(False).any()),
        **values,  # type: ignore[arg-type]
    )


def _value(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
