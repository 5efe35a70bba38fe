"""Rows of the cases table, for what looks at one case after the other."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

# A row by column, with pandas' NA for what is empty.
CaseRow = Mapping[str, Any]


def case_rows(cases: pd.DataFrame) -> list[CaseRow]:
    """The rows as dictionaries: to look into a Series takes fifty times as long, and each is looked into often."""
    names = list(cases.columns)
    return [dict(zip(names, values)) for values in cases.to_numpy(object)]
