"""Did the grid as a whole succeed?"""

import pandas as pd

from wanbench.analysis.case_rows import case_rows
from wanbench.cases.messages import of_failed_case, of_no_case
from wanbench.findings.case_counts import Findings, of_failed_check, with_warnings
from wanbench.registry.stages import FINISHED


def outcome_of(cases: pd.DataFrame, findings: Findings) -> dict[str, int]:
    """Number of cases by status, and of those that are ok, how many are to be looked at."""
    by_status = cases["status"].value_counts().sort_index()
    return {str(status): int(count) for status, count in by_status.items()} | {
        "with_failed_checks": len(of_failed_check(cases)),
        "with_warnings": len(with_warnings(cases, findings)),
    }


def errors_of(cases: pd.DataFrame, excluded: pd.DataFrame, grid: str) -> list[str]:
    """A line for each case that failed and each whose trace could not be used, and one for traces of no case.

    Args:
        grid: the grid file, as the user would write it.
    """
    failed = cases[~cases["status"].isin(FINISHED)]
    keys = ("case", "status", "stage_reached", "error_type", "error_message")
    lines = [of_failed_case(*(None if pd.isna(case[key]) else case[key] for key in keys)) for case in case_rows(failed)]
    lines += [f"{item.case}: excluded: {item.reason}" for item in excluded.itertuples() if item.of_grid]
    of_none = [f"results/traces/{item.case}.json" for item in excluded.itertuples() if not item.of_grid]
    return lines + ([of_no_case(of_none, grid)] if of_none else [])
