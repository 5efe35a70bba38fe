"""Did the grid as a whole succeed?"""

import shlex

import pandas as pd

from wanbench.text import one_line
from wanbench.trace.names import FINISHED

# Traces of cases that the grid does not have now can wait here, where nothing reads them.
_ASIDE = "results/aside/traces"


def outcome_of(cases: pd.DataFrame) -> dict[str, int]:
    """Number of cases by status."""
    return {str(status): int(count) for status, count in cases["status"].value_counts().sort_index().items()}


def faults_of(cases: pd.DataFrame, left_out: pd.DataFrame, grid: str) -> list[str]:
    """A line for each case that failed and each whose trace could not be used, and one for traces of no case.

    Args:
        grid: the grid file, as the user would write it.
    """
    failed = cases[~cases["status"].isin(FINISHED)]
    lines = [_failed(case) for _, case in failed.iterrows()]
    lines += [f"{item.case}: left out: {item.reason}" for item in left_out.itertuples() if item.of_grid]
    strangers = [f"results/traces/{item.case}.json" for item in left_out.itertuples() if not item.of_grid]
    return lines + ([_of_no_case(strangers, grid)] if strangers else [])


def _of_no_case(files: list[str], grid: str) -> str:
    listed = shlex.join(one_line(file) for file in files)
    return (
        f"{grid} has no cases for these traces, so they are left out. Put the cases back, delete the files, or keep "
        "them for another grid (moved back for it, they are not measured again): "
        f"mkdir -p {_ASIDE} && mv -n {listed} {_ASIDE}"
    )


def _failed(case: pd.Series) -> str:
    where = "" if pd.isna(case["stage_reached"]) else f" in {case['stage_reached']}"
    kind = "" if pd.isna(case["error_type"]) else f"{case['error_type']}: "
    said = one_line(f"{kind}{case['error_message']}")
    return f"{case['case']}: {case['status']}{where}: {said} (logs/measure/{case['case']}.log)"
