"""Did the grid as a whole succeed?"""

import pandas as pd

from wanbench.analysis.tables import records
from wanbench.cases.messages import of_failed_case, of_no_case
from wanbench.findings.basis import WARNING
from wanbench.registry.stages import FINISHED, OK


def cases_by_outcome(cases: pd.DataFrame, findings: pd.DataFrame) -> dict[str, list[str]]:
    """Names of the cases by status, "ok" first; of those that are ok, which failed a check, and else have a warning."""
    ok = cases[cases["status"] == OK]
    has_failed = ok["failed_checks"].str.strip() != ""
    has_warning = ok["case"].isin(findings.loc[findings["severity"] == WARNING, "case"])
    doubtful = {"with_failed_checks": has_failed, "with_warnings": has_warning & ~has_failed}
    by_status = {OK: []} | cases.groupby("status")["case"].agg(list).to_dict()
    return by_status | {how: list(ok.loc[which, "case"]) for how, which in doubtful.items()}


def errors_of(cases: pd.DataFrame, excluded: pd.DataFrame, grid: str) -> list[str]:
    """A line for each case that failed and each whose trace could not be used, and one for traces of no case.

    Args:
        grid: the grid file, as the user would write it.
    """
    failed = cases[~cases["status"].isin(FINISHED)]
    keys = ("case", "status", "stage_reached", "error_type", "error_message")
    lines = [of_failed_case(*(case[key] for key in keys)) for case in records(failed)]
    lines += [f"{item.case}: excluded: {item.reason}" for item in excluded.itertuples() if item.of_grid]
    of_none = [f"results/traces/{item.case}.json" for item in excluded.itertuples() if not item.of_grid]
    return lines + ([of_no_case(of_none, grid)] if of_none else [])
