"""The summary of a report: one row for each case."""

import pandas as pd
from jinja2.environment import TemplateModule

from wanbench.analysis.numbers import fixed, gb, plain
from wanbench.analysis.tables import CaseRow, records
from wanbench.findings.trust import DISTURBED
from wanbench.registry import settings as registry
from wanbench.report.cells import markdown_table
from wanbench.report.render import macros_of

_TEXT_COLUMNS = ("Case", "Res", "Offload", "Status", "Check", "Model", "Settings")
# Where cases differ in none of these, the column says nothing.
_DIFFERENCES = ("Model", "Steps", "Settings")


def summary(cases: pd.DataFrame, findings: pd.DataFrame) -> str:
    """The table. Its first eight columns are those of the reference report."""
    cells = macros_of("cells.md.j2")
    disturbed = findings[findings["rule"].isin([rule.__name__ for rule in DISTURBED])]
    rows = [
        _row(case, cells, list(disturbed.loc[disturbed["case"] == case["case"], "rule"])) for case in records(cases)
    ]
    said = [key for key in _DIFFERENCES if len({row[key] for row in rows}) > 1]
    rows = [{key: text for key, text in row.items() if key not in _DIFFERENCES or key in said} for row in rows]
    return markdown_table(rows, _TEXT_COLUMNS)


def _row(case: CaseRow, cells: TemplateModule, disturbed: list[str]) -> dict[str, str]:
    settings = {key: case[key] for key in registry.keys(registry.METHOD)}
    return {
        "Case": case["case"],
        "Res": cells.size(case),
        "Offload": case["offload"],
        "Time(s)": fixed(case["total_duration_s"]),
        "s/step": fixed(case["step_s"]),
        "Mem(GB)": gb(case["gpu_mem_allocated_bytes"], 2),
        "SM(%)": fixed(case["inference_sm_activity_pct"], 1),
        "Load": fixed(case["total_comp_load_pct_s"], 0),
        "Status": case["status"],
        "Check": cells.check(case, disturbed),
        "Model": f"{case['model']} {case['task']}",
        "Steps": cells.steps(case),
        "Settings": plain(registry.printed(settings | {"offload": "none"}).replace("stock", "")),
    }
