"""The section on what cases differ in, where none of them is a choice of settings: at tiny scale, or on the CPU."""

from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.analysis.comparable import host_mem_bytes
from wanbench.analysis.numbers import NOT_MEASURED, fixed, gigabytes, plain
from wanbench.registry.settings import METHOD, REPETITION, WORKLOAD, keys
from wanbench.report.layout import markdown_table

HEADING = "Settings that differ"
# There is a table for each model, and a prompt is too long for a cell.
_NO_COLUMN = ("model", "prompt", "negative_prompt")
SETTINGS = tuple(key for key in keys(WORKLOAD, METHOD, REPETITION) if key not in _NO_COLUMN)


def settings_that_differ(cases: pd.DataFrame) -> str | None:
    """A table for each model of which several cases differ; None where there is none.

    Args:
        cases: the cases table.
    """
    parts = []
    for model, of_model in cases.groupby("model", sort=False):
        differing = [key for key in SETTINGS if of_model[key].nunique(dropna=False) > 1]
        if differing:
            rows = [_row(case, differing) for case in case_rows(of_model)]
            parts += [f"### {plain(model)}", markdown_table(rows, ("Case", *differing))]
    return "\n\n".join([f"## {HEADING}", *parts]) if parts else None


def _row(case: CaseRow, differing: list[str]) -> dict[str, str]:
    return {
        "Case": case["case"],
        **{key: _shown(case[key]) for key in differing},
        "s/step": fixed(case["step_s"], 3),
        "Time(s)": fixed(case["total_duration_s"]),
        "Mem(GB)": gigabytes(case["gpu_mem_allocated_bytes"]),
        "RAM(GB)": gigabytes(host_mem_bytes(case)),
    }


def _shown(value: Any) -> str:
    if pd.isna(value):
        return NOT_MEASURED
    if pd.api.types.is_bool(value):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else plain(value)
