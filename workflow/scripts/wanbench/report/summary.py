"""The summary: all cases in one table, and the traces that are not in it."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.analysis.comparable import host_mem_bytes
from wanbench.analysis.numbers import NOT_MEASURED, fixed, gigabytes, plain, some
from wanbench.findings import disturbed
from wanbench.findings.basis import Finding
from wanbench.findings.case_counts import Findings
from wanbench.report.layout import table

_TEXT_COLUMNS = ("Case", "Res", "Offload", "Status", "Check", "Model", "Task", "Weights")


def summary(cases: pd.DataFrame, findings: Findings) -> str:
    """One row for each case, and below them what a reader of single columns would not see."""
    if not len(cases):
        return "No case has a usable trace."
    rows = table(
        [_summary_row(case, _doubts(findings.get(case["case"], ()))) for case in case_rows(cases)], _TEXT_COLUMNS
    )
    return "\n\n".join([rows, *_unlike_work(cases), *_single_steps(cases)])


def _unlike_work(cases: pd.DataFrame) -> list[str]:
    if len(cases[["generations", "steps"]].drop_duplicates()) == 1:
        return []
    text = (
        "Time(s) is of the whole process, Load and Energy(kJ) are of all of Total\\_Execution, so they compare only "
        "where Generations and Steps are the same."
    )
    several = cases[cases["generations"] > 1]
    measured = [f"{plain(name)} ({count})" for name, count in zip(several["case"], several["generations"])]
    return [f"{text} Several videos were made by: {some(measured)}." if measured else text]


def _single_steps(cases: pd.DataFrame) -> list[str]:
    found = [plain(name) for name in cases[cases["typical_steps"] == 1]["case"]]
    which = "s/step is of a single step (the others were the first, and with A14B the expert switch) in"
    return [f"{which}: {some(found)}."] if found else []


def _summary_row(case: CaseRow, doubts: Sequence[str]) -> dict[str, str]:
    return {
        "Case": case["case"],
        "Res": case["size"] + (" (unofficial)" if case["unofficial_size"] else ""),
        "Offload": case["offload"],
        "Time(s)": fixed(case["total_duration_s"]),
        "s/step": fixed(case["step_s"]),
        "Mem(GB)": gigabytes(case["gpu_mem_allocated_bytes"]),
        "SM(%)": fixed(case["inference_sm_activity_pct"], 1),
        "Load": fixed(case["total_comp_load_pct_s"], 0),
        "Generations": str(case["generations"]),
        "Steps": str(case["steps"]),
        "Status": case["status"],
        "Check": _check(case, doubts),
        "Model": case["model"],
        "Task": case["task"],
        "Frames": str(case["frames"]),
        "Weights": case["weights"] if pd.isna(case["scale"]) else f"{case['weights']}, {case['scale']}",
        "Exec(s)": fixed(case["total_execution_s"] if case["status"] == "ok" else None),
        "RAM(GB)": gigabytes(host_mem_bytes(case)),
        "Energy(kJ)": fixed(case["energy_j"], 2, 1e-3),
        "Power(W)": fixed(case["power_mean_w"], 0),
        "Cold gen(s)": fixed(case["first_generation_s"]),
        "Warm gen(s)": fixed(case["generation_s"]),
        "Est. Mem(GB)": gigabytes(case["estimated_peak_bytes"]),
        "GPUs": str(case["gpus"]),
    }


def _doubts(findings: Sequence[Finding]) -> list[str]:
    """What disturbed a case that no fault of its check stands for."""
    fired = {finding.rule for finding in findings}
    return [rule.name.replace("_", " ") for rule in disturbed.RULES if rule.name in fired]


def _check(case: CaseRow, doubts: Sequence[str]) -> str:
    if case["status"] != "ok":
        return NOT_MEASURED
    excluded = int(case["generations_excluded"])
    without = f" (without {excluded} of {case['generations']} generations)" if excluded else ""
    verdict = case["failed_checks"].replace("_", " ").strip() or "passed"
    return plain(", ".join([verdict, *doubts]) + without)


def excluded_section(excluded: pd.DataFrame) -> str:
    """Traces that are not used, with the reason of each."""
    lines = [f"- **{plain(item.case)}**: {plain(item.reason)}" for item in excluded.itertuples()]
    return "\n".join(["## Excluded, and why", "", *lines])
