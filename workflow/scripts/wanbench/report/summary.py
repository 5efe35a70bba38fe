"""The summary: all cases in one table, and the traces that are not in it."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.analysis.comparable import host_mem_bytes
from wanbench.analysis.numbers import NOT_MEASURED, fixed, gigabytes, plain, some
from wanbench.findings import disturbed
from wanbench.findings.basis import Finding
from wanbench.findings.case_counts import Findings
from wanbench.registry.stages import OK
from wanbench.report.layout import markdown_table

_TEXT_COLUMNS = ("Case", "Res", "Offload", "Status", "Check", "Model", "Task", "Weights")


def summary(cases: pd.DataFrame, findings: Findings) -> str:
    """One row for each case, and below them what a reader of single columns would not see."""
    if not len(cases):
        return "No case has a usable trace."
    rows = [_row(case, findings.get(case["case"], ())) for case in case_rows(cases)]
    return "\n\n".join([markdown_table(rows, _TEXT_COLUMNS), *_notes(cases)])


def _notes(cases: pd.DataFrame) -> list[str]:
    notes = []
    if len(cases[["generations", "steps"]].drop_duplicates()) > 1:
        several = cases[cases["generations"] > 1]
        made = [f"{plain(name)} ({count})" for name, count in zip(several["case"], several["generations"])]
        notes.append(
            "Time(s), Load and Energy(kJ) are of all generations: compare them where Generations and Steps are the "
            f"same.{f' Several generations: {some(made)}.' if made else ''}"
        )
    single = [plain(name) for name in cases[cases["typical_steps"] == 1]["case"]]
    if single:
        notes.append(f"s/step is of a single step, neither the first nor an expert switch, in: {some(single)}.")
    return notes


def _row(case: CaseRow, findings: Sequence[Finding]) -> dict[str, str]:
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
        "Check": _check(case, findings),
        "Model": case["model"],
        "Task": case["task"],
        "Frames": str(case["frames"]),
        "Weights": case["weights"] if pd.isna(case["scale"]) else f"{case['weights']}, {case['scale']}",
        "Exec(s)": fixed(case["total_execution_s"] if case["status"] == OK else None),
        "RAM(GB)": gigabytes(host_mem_bytes(case)),
        "Energy(kJ)": fixed(case["energy_j"], 2, 1e-3),
        "Power(W)": fixed(case["power_mean_w"], 0),
        "Cold gen(s)": fixed(case["first_generation_s"]),
        "Warm gen(s)": fixed(case["generation_s"]),
        "Est. Mem(GB)": gigabytes(case["estimated_peak_bytes"]),
        "GPUs": str(case["gpus"]),
    }


def _check(case: CaseRow, findings: Sequence[Finding]) -> str:
    """Checks that failed, what else disturbed the case, and how many contaminated generations were excluded."""
    if case["status"] != OK:
        return NOT_MEASURED
    fired = {finding.rule for finding in findings}
    doubts = [case["failed_checks"].strip() or "passed", *(rule.name for rule in disturbed.RULES if rule.name in fired)]
    excluded = int(case["generations_excluded"])
    without = f" (without {excluded} of {case['generations']} generations)" if excluded else ""
    return plain(", ".join(doubts).replace("_", " ") + without)


def excluded_section(excluded: pd.DataFrame) -> str:
    """Traces that are not used, with the reason of each."""
    lines = [f"- **{plain(item.case)}**: {plain(item.reason)}" for item in excluded.itertuples()]
    return "\n".join(["## Excluded, and why", "", *lines])
