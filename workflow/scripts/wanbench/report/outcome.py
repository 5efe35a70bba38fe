"""Did the grid as a whole succeed?"""

import pandas as pd

from wanbench.text import one_line
from wanbench.trace.names import FINISHED


def outcome_of(cases: pd.DataFrame) -> dict[str, int]:
    """Number of cases by status."""
    return {str(status): int(count) for status, count in cases["status"].value_counts().sort_index().items()}


def faults_of(cases: pd.DataFrame, left_out: pd.DataFrame) -> list[str]:
    """One line for each case that failed, and for each of the grid whose trace could not be used."""
    failed = cases[~cases["status"].isin(FINISHED)]
    lines = [_failed(case) for _, case in failed.iterrows()]
    return lines + [f"{item.case}: left out: {item.reason}" for item in left_out.itertuples() if item.of_grid]


def _failed(case: pd.Series) -> str:
    where = "" if pd.isna(case["stage_reached"]) else f" in {case['stage_reached']}"
    kind = "" if pd.isna(case["error_type"]) else f"{case['error_type']}: "
    said = one_line(f"{kind}{case['error_message']}")
    return f"{case['case']}: {case['status']}{where}: {said} (logs/measure/{case['case']}.log)"
