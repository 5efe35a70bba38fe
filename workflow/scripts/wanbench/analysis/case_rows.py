"""Rows of the cases table, for what looks at one case after the other."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from wanbench.cases.case import Case

# A row by column, with pandas' NA for what is empty.
CaseRow = Mapping[str, Any]


def case_rows(cases: pd.DataFrame) -> list[CaseRow]:
    """The rows as dictionaries: to look into a Series takes fifty times as long, and each is looked into often."""
    names = list(cases.columns)
    return [dict(zip(names, values)) for values in cases.to_numpy(object)]


def case_of(row: CaseRow) -> Case:
    """The case of a row of the cases table, as it ran; None for the digests, which no column has."""
    values = {key: row[key] if key in row and pd.notna(row[key]) else None for key in Case.__dataclass_fields__}
    scales = (row["guidance_first"], row["guidance_second"])
    guidance = tuple(float(scale) for scale in scales if pd.notna(scale))
    return Case(**values | {"name": row["case"], "guidance": guidance})
