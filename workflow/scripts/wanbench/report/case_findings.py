"""The end of a case: its findings, and an overview of what it used."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.numbers import NOT_MEASURED, escaped_but_code, fixed, gigabytes
from wanbench.findings.basis import Finding
from wanbench.registry.stages import OK
from wanbench.report.layout import with_unit


def analysis(case: CaseRow, findings: Sequence[Finding]) -> str:
    """The findings of a case, then its use of memory, who else was on the GPU, and how much of it was seen."""
    texts = [
        f"- {finding.severity.capitalize()}: {escaped_but_code(finding.sentences)} ([why](#{finding.rule}))"
        for finding in findings
    ]
    if not texts:
        texts = [f"- {_nothing_found(case)}"]
    return "\n".join(
        [
            "**Bottlenecks Detected:**",
            *texts,
            "",
            "**Resource Usage Overview:**",
            f"- {_gpu_memory(case)}",
            f"- {_host_memory(case)}",
            f"- {_gpu_state(case)}",
            f"- {_coverage(case)}",
        ]
    )


def _nothing_found(case: CaseRow) -> str:
    if case["status"] == OK:
        return "No rule found anything in what was measured."
    reached = "" if pd.isna(case["stage_reached"]) else f" in {escaped_but_code(case['stage_reached'])}"
    return f"The case ended with status {case['status']}{reached}; no rule found anything in what was measured."


def _gpu_memory(case: CaseRow) -> str:
    peak_bytes, total_bytes = case["gpu_mem_allocated_bytes"], case["gpu_mem_total_bytes"]
    if pd.isna(peak_bytes):
        on_cpu = pd.notna(case["device"]) and case["device"] == "cpu"
        return f"GPU memory was not measured{': the case ran on the CPU' if on_cpu else ''}."
    share = f" of {gigabytes(total_bytes)} GB of this GPU ({100 * peak_bytes / total_bytes:.0f} %)"
    held = {
        "were reserved by torch's allocator": case["gpu_mem_reserved_bytes"],
        "were used on the device": case["gpu_mem_used_bytes"],
    }
    known = [f"{gigabytes(size_bytes)} GB {how}" for how, size_bytes in held.items() if pd.notna(size_bytes)]
    beyond = f" That was allocated; {' and '.join(known)}." if known else ""
    return (
        f"Peak GPU Memory reached {gigabytes(peak_bytes)} GB{'' if pd.isna(total_bytes) else share}{_estimate(case)}."
        f"{beyond}"
    )


def _estimate(case: CaseRow) -> str:
    estimated_bytes = case["estimated_peak_bytes"]
    if pd.isna(estimated_bytes):
        return ""
    text = f"; estimated beforehand: {gigabytes(estimated_bytes)} GB"
    # A case that did not run to its end may not have come to its peak.
    if case["status"] != OK:
        return text
    # Rounded first, since a format would keep the sign of what it rounds to zero.
    difference_pct = round(100 * (estimated_bytes / case["gpu_mem_allocated_bytes"] - 1))
    return f"{text} ({difference_pct:+d} %)" if difference_pct else f"{text} (0 %)"


def _host_memory(case: CaseRow) -> str:
    if pd.isna(case["sys_mem_bytes"]):
        return "System memory was not measured."
    of_total = "" if pd.isna(case["sys_mem_total_bytes"]) else f" of {gigabytes(case['sys_mem_total_bytes'])} GB"
    held = f"The measured processes held up to {with_unit(gigabytes(case['process_mem_bytes']), 'GB')}"
    if pd.notna(case["process_mem_bytes"]) and case["process_mem_bytes"] > case["sys_mem_bytes"]:
        held += ", with pages that several share added up"
    return f"System memory reached {gigabytes(case['sys_mem_bytes'])} GB{of_total}. {held}."


def _gpu_state(case: CaseRow) -> str:
    if pd.isna(case["other_processes"]):
        return "Other processes on the GPU and throttling were not measured."
    others = int(case["other_processes"])
    memory = f", with up to {gigabytes(case['other_processes_mem_bytes'])} GB" if others else ""
    held = escaped_but_code(case["throttled"] or "nothing") if pd.notna(case["throttled"]) else NOT_MEASURED
    return f"Processes of others on the GPU: {others}{memory}. Clocks held down by: {held}."


def _coverage(case: CaseRow) -> str:
    if pd.isna(case["stage_coverage_pct"]):
        return "Total\\_Execution was not reached, so coverage is not known."
    return (
        f"Named stages cover {fixed(case['stage_coverage_pct'], 2)} % of Total\\_Execution, "
        f"samples {fixed(case['sample_coverage_pct'], 1)} % (greatest gap {fixed(case['greatest_sample_gap_s'])} s)."
    )
