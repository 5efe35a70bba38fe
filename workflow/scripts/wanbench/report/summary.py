"""The summary of a report: one row for each case."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.numbers import NOT_MEASURED, fixed, gb, plain
from wanbench.analysis.tables import CaseRow, records
from wanbench.findings import disturbed
from wanbench.findings.basis import Finding
from wanbench.registry import settings as registry
from wanbench.registry.stages import OK
from wanbench.report.cells import markdown_table
from wanbench.report.grid_outcome import Findings

_TEXT_COLUMNS = ("Case", "Res", "Offload", "Status", "Check", "Model", "Settings")
# Where cases differ in none of these, the column says nothing.
_DIFFERENCES = ("Model", "Steps", "Settings")


def summary(cases: pd.DataFrame, findings: Findings) -> str:
    """The table. Its first eight columns are those of the reference report."""
    rows = [_row(case, findings.get(case["case"], ())) for case in records(cases)]
    said = [key for key in _DIFFERENCES if len({row[key] for row in rows}) > 1]
    rows = [{key: text for key, text in row.items() if key not in _DIFFERENCES or key in said} for row in rows]
    return markdown_table(rows, _TEXT_COLUMNS)


def _row(case: CaseRow, findings: Sequence[Finding]) -> dict[str, str]:
    settings = {key: case[key] for key in registry.keys(registry.METHOD)}
    return {
        "Case": case["case"],
        "Res": case["size"] + (" (unofficial)" if case["unofficial_size"] else ""),
        "Offload": case["offload"],
        "Time(s)": fixed(case["total_duration_s"]),
        "s/step": fixed(case["step_s"]),
        "Mem(GB)": gb(case["gpu_mem_allocated_bytes"], 2),
        "SM(%)": fixed(case["inference_sm_activity_pct"], 1),
        "Load": fixed(case["total_comp_load_pct_s"], 0),
        "Status": case["status"],
        "Check": check(case, findings),
        "Model": f"{case['model']} {case['task']}",
        "Steps": str(case["steps"]) + ("" if case["generations"] < 2 else f" x {case['generations']}"),
        "Settings": plain(registry.printed(settings | {"offload": "none"}).replace("stock", "")),
    }


def check(case: CaseRow, findings: Sequence[Finding]) -> str:
    """Checks that failed, what else disturbed the case, and how many contaminated generations were excluded."""
    if case["status"] != OK:
        return NOT_MEASURED
    fired = {finding.rule for finding in findings}
    doubts = [case["failed_checks"].strip() or "passed", *(rule.name for rule in disturbed.RULES if rule.name in fired)]
    excluded = int(case["generations_excluded"])
    without = f" (without {excluded} of {case['generations']} generations)" if excluded else ""
    return plain(", ".join(doubts).replace("_", " ") + without)
