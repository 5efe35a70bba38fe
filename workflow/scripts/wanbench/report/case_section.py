"""What the report says about one case: how it ended, its stages and steps, and what to make of them."""

import statistics
from collections.abc import Sequence
from typing import Any

import pandas as pd

from wanbench.analysis.breakdown import Row, breakdown
from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import is_of_one_step
from wanbench.analysis.mfu import gpus_that_share, mfu_pct, peak_flops_per_s
from wanbench.analysis.numbers import NOT_MEASURED, fixed, gigabytes, plain
from wanbench.analysis.outliers import unusual_generations
from wanbench.findings.basis import Finding
from wanbench.registry import stages as stage_names
from wanbench.report import provenance
from wanbench.report.case_findings import analysis
from wanbench.report.layout import table, with_unit

_VIDEO_SECOND = "Energy per Second of Video (one generation, without initialisation and compilation)"
_APART = "the first of the process is cold and stands apart"


def case_section(
    case: CaseRow,
    stages: list[dict[str, Any]],
    details: list[dict[str, Any]],
    findings: Sequence[Finding],
    gpu_letter: str | None,
) -> list[str]:
    """Paragraphs about one case.

    Args:
        case: its row of the cases table.
        stages, details: its rows of those tables, None for what was not measured.
        gpu_letter: what the report calls its GPU where there are several.
    """
    rows = breakdown(stages)
    parts = [
        f"## Case: {case['case']}",
        "\n".join(
            [
                f"- **Total Duration**: {with_unit(fixed(case['total_duration_s']), 's')}",
                f"- **Peak GPU Memory**: {with_unit(gigabytes(case['gpu_mem_allocated_bytes']), 'GB')}",
                f"- **Total Compute Load**: {fixed(case['total_comp_load_pct_s'], 0)}",
            ]
        ),
        _settings(case, gpu_letter) + _generations(case, stages) + _checkpoint(stages) + _duration(case, rows),
    ]
    if case["status"] != "ok":
        parts.append(_failure(case))
    parts += ["### Stage Breakdown", _stage_table(rows, case, any(stage["transfers"] for stage in stages))]
    if case["steps_done"]:
        parts += ["### Inference Statistics", _statistics(case) + _unusual(stages)]
    that_count = {stage["generation"] for stage in stages if stage["measured"]}
    measured = [detail for detail in details if detail["generation"] is None or detail["generation"] in that_count]
    if measured:
        parts += ["### Details", _details(measured)]
    parts += ["### Performance Analysis", analysis(case, findings)]
    return parts


def _settings(case: CaseRow, gpu_letter: str | None) -> str:
    precision = f"{case['dtype']}, VAE {case['vae_dtype']}{', VAE tiling' if case['vae_tiling'] else ''}"
    source = case["checkpoint"] if pd.notna(case["checkpoint"]) else f"{case['weights']}, {case['scale']} scale"
    if pd.notna(case["revision"]):
        source += f" at {case['revision']}"
    lines = [
        f"{case['model']} {case['task']}, {case['size']}, {case['frames']} frames, {case['steps']} steps, "
        f"guidance {case['guidance']}, shift {case['shift']:g}, seed {case['seed']}, offload {case['offload']}, "
        f"{precision}, attention {plain(case['attention'])}{_accelerations(case)}{_gpus(case)}, "
        f"weights {plain(source)}",
        f"Prompt: {plain(case['prompt'])}",
    ]
    if pd.notna(case["image"]):
        lines.append(f"Image: {plain(case['image'])}")
    lines.append(f"Ran on: {plain(provenance.machine(case, gpu_letter))}")
    started = f"{case['started_at'][:16].replace('T', ' ')} UTC"
    made_of = (provenance.software(case), provenance.deployment(case), provenance.code(case))
    lines.append(f"Ran with: {'; '.join(map(plain, made_of))}; begun {started}")
    return "\n".join(f"- {line}" for line in lines)


def _gpus(case: CaseRow) -> str:
    return "" if case["gpus"] == 1 else f", gpus {case['gpus']} (context parallel, Ulysses)"


def _generations(case: CaseRow, stages: list[dict[str, Any]]) -> str:
    """How many there are, and of which the figures are; empty where none began."""
    that_count = {stage["generation"] for stage in stages if stage["measured"]} - {None}
    if not that_count:
        return ""
    if not case["warmup"] and case["repeats"] == 1:
        return "\n- Generations: 1; its figures are cold, those of the first generation of the process"
    of_first = that_count == {0}
    which = "it is the first of the process, and its figures are cold" if of_first else _APART
    counts = "1 counts" if len(that_count) == 1 else f"{len(that_count)} count"
    excluded = case["generations_excluded"]
    without = f"; {excluded} of all excluded, which the findings name" if excluded else ""
    asked = f"{case['warmup']} to warm up, then {case['repeats']} to measure"
    return f"\n- Generations: {asked}, of which {counts}; {which}{without}"


def _accelerations(case: CaseRow) -> str:
    compiled = "" if case["compile"] == "none" else f", compile {plain(case['compile'])}"
    if case["cache"] == "none":
        return compiled
    return f"{compiled}, cache {plain(case['cache'])} (lossy, threshold {case['cache_threshold']:g})"


def _checkpoint(stages: list[dict[str, Any]]) -> str:
    """What loading took; empty where no checkpoint was loaded from a folder."""
    loaded = next((stage for stage in stages if stage["checkpoint_bytes"] is not None), None)
    if loaded is None:
        return ""
    size_bytes, time_s, disk_bytes = loaded["checkpoint_bytes"], loaded["time_s"], loaded["disk_read_bytes"]
    line = f"\n- Checkpoint: {gigabytes(size_bytes)} GB in {fixed(time_s)} s, {gigabytes(size_bytes / time_s)} GB/s"
    if disk_bytes is None:
        return line
    # The process reads other files as well, such as libraries.
    from_disk = gigabytes(min(disk_bytes, size_bytes))
    return f"{line}; {from_disk} GB of it came from a disk, the rest from memory (page cache)"


def _duration(case: CaseRow, rows: list[Row]) -> str:
    """What the life of the process consists of: start-up, execution, and what no stage covers."""
    times_s = {row.stage: row.time_s for row in rows}
    startup_s, total_s = times_s.get(stage_names.PROCESS_STARTUP), times_s.get(stage_names.TOTAL_EXECUTION)
    if startup_s is None or total_s is None:
        return ""
    end_s = float(case["total_duration_s"]) - startup_s - total_s
    parts = [f"Process\\_Startup {fixed(startup_s)} s", f"Total\\_Execution {fixed(total_s)} s"]
    if pd.notna(case["matmul_s"]):
        end_s -= case["matmul_s"]
        parts.append(f"{fixed(case['matmul_s'])} s to measure the rate of matrix products")
    check = ", to check the output" if case["status"] == stage_names.OK else ""
    parts.append(f"and {fixed(end_s)} s in between{check} and to end")
    return f"\n- Total Duration is the life of the process: {', '.join(parts)}"


def _failure(case: CaseRow) -> str:
    reached = "" if pd.isna(case["stage_reached"]) else f" in {case['stage_reached']}"
    message = plain(case["error_message"])
    kind = "" if pd.isna(case["error_type"]) else f"{plain(case['error_type'])}: "
    return f"**Ended with status {case['status']}{reached}**: {kind}{message}"


def _stage_table(rows: list[Row], case: CaseRow, moved: bool) -> str:
    if not rows:
        return "No stage was reached."
    cells = [_stage_row(row, case, moved) for row in rows]
    if any(row.interrupted for row in rows):
        cells = [each | {"Interrupted": "yes" if row.interrupted else "no"} for each, row in zip(cells, rows)]
    return table(cells, ("Stage",))


def _stage_row(row: Row, case: CaseRow, moved: bool) -> dict[str, str]:
    cells = {
        "Stage": row.stage,
        "Time (s)": fixed(row.time_s),
        "GPU Mem (GB)": gigabytes(row.gpu_mem_allocated_bytes),
        "CPU (%)": fixed(row.cpu_pct, 1),
        "Sys Mem (GB)": gigabytes(row.sys_mem_bytes),
        "SM Act (%)": fixed(row.sm_activity_pct, 1),
        "Comp Load": fixed(row.comp_load_pct_s, 0),
        "Tensor (%)": fixed(row.tensor_activity_pct, 1),
        "DRAM (%)": fixed(row.dram_activity_pct, 1),
        "Energy (J)": fixed(row.energy_j, 0),
        "Power (W)": fixed(row.power_w, 0),
        "Process CPU (%)": fixed(row.process_cpu_pct, 1),
        "Process Mem (GB)": gigabytes(row.process_mem_bytes),
        "GPU Reserved (GB)": gigabytes(row.gpu_mem_reserved_bytes),
        "GPU Used (GB)": gigabytes(row.gpu_mem_used_bytes),
        "TFLOP": fixed(row.flops, 1, 1e-12),
        "MFU (%)": fixed(_mfu_pct(row, case), 1),
        "Samples": NOT_MEASURED if row.samples is None else str(row.samples),
    }
    if moved:
        cells |= {"Loading (s)": fixed(row.loading_s), "Offloading (s)": fixed(row.offloading_s)}
    if case["generations"] > 1:
        cells |= {"Min (s)": fixed(row.min_s), "Max (s)": fixed(row.max_s), "First (s)": fixed(row.first_s)}
    return cells


def _mfu_pct(row: Row, case: CaseRow) -> float | None:
    """None where the stage computes in a type that the peak is not for: float32 has another."""
    dtype = case["vae_dtype"] if row.stage in (stage_names.VAE_DECODING, stage_names.PREPROCESS) else case["dtype"]
    # Both are None where the GPU or its rate is not known.
    name, measured = (case[key] if pd.notna(case[key]) else None for key in ("gpu_name", "matmul_flops_per_s"))
    peak = peak_flops_per_s(name, measured)
    if peak is None or dtype == "float32":
        return None
    return mfu_pct(row.flops, row.time_s, peak[0] * gpus_that_share(row.stage, case["gpus"]))


def _statistics(case: CaseRow) -> str:
    of_one = " (1 step)" if is_of_one_step(case) else ""
    kind = "Median" if case["cache"] == "none" else "Mean"
    lines = [
        ("Avg Time per Step", fixed(case["step_mean_s"]), "s"),
        ("Avg SM Activity", fixed(case["inference_sm_activity_pct"], 1), "%"),
        ("Avg CPU Utilization", fixed(case["inference_cpu_pct"], 1), "%"),
        ("Total Inference Load", fixed(case["inference_comp_load_pct_s"], 0), ""),
        (f"{kind} Time per Step (without first and switch step)", fixed(case["step_s"]), f"s{of_one}"),
        ("First Step", fixed(case["first_step_s"]), "s"),
    ]
    if case["generations"] > 1:
        lines.append(("First Step of the Cold Generation", fixed(case["cold_first_step_s"]), "s"))
    if pd.notna(case["switch_step_s"]):
        lines.append(("Expert Switch Step", fixed(case["switch_step_s"]), "s"))
    if case["cache"] != "none":
        lines.append(("Passes Reused by the Cache", _passes_reused(case), ""))
    lines += [
        (f"{kind} Energy per Step", fixed(case["step_energy_j"], 0), f"J{of_one}"),
        (_VIDEO_SECOND, fixed(case["video_second_energy_j"], 0), "J"),
    ]
    return "\n".join(f"- **{label}**: {with_unit(value, unit)}" for label, value, unit in lines)


def _unusual(stages: list[dict[str, Any]]) -> str:
    """A line for each generation that took unlike the others; the median passes over it."""
    return "".join(
        f"\n- **Unusual Generation**: number {generation.number} (from 0) took {fixed(generation.time_s)} s, modified "
        f"z-score {generation.z_score:.1f}"
        for generation in unusual_generations(stages)
    )


def _passes_reused(case: CaseRow) -> str:
    if pd.isna(case["passes"]):
        return NOT_MEASURED
    return f"{case['passes_reused']:.0f} of {case['passes']:.0f}"


def _details(details: list[dict[str, Any]]) -> str:
    times_s: dict[str, list[float]] = {}
    for detail in details:
        times_s.setdefault(detail["detail"], []).append(detail["time_s"])
    rows = [
        {
            "Part": plain(name),
            "Count": str(len(times)),
            "Median (s)": fixed(statistics.median(times), 3),
            "Sum (s)": fixed(sum(times), 3),
        }
        for name, times in times_s.items()
    ]
    return table(rows, ("Part",))
