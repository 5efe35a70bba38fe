"""One case in the report: how it ended, its stages and steps, and what to make of them."""

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
from wanbench.registry.stage_metrics import OF_STAGES, STAGE_TABLE, TRUTH
from wanbench.report import provenance
from wanbench.report.case_findings import analysis
from wanbench.report.layout import markdown_table, with_unit

_VIDEO_SECOND = "Energy per Second of Video (one generation, without initialisation and compilation)"
# As in the reference report; the others follow in the order of the registry.
_FIRST = ("time_s", "gpu_mem_allocated_bytes", "cpu_pct", "sys_mem_bytes", "sm_activity_pct", "comp_load_pct_s")
_SHOWN = sorted(
    (metric for metric in OF_STAGES if metric.report == STAGE_TABLE and metric.type != TRUTH),
    key=lambda metric: _FIRST.index(metric.key) if metric.key in _FIRST else len(_FIRST),
)
_TRANSFERS = ("loading_s", "offloading_s")
_SPREAD = {"Min (s)": "min_s", "Max (s)": "max_s", "First (s)": "first_s"}


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
    measured = {stage["generation"] for stage in stages if stage["measured"]} | {None}
    parts = [
        f"## Case: {case['case']}",
        _bullets(
            f"**Total Duration**: {with_unit(fixed(case['total_duration_s']), 's')}",
            f"**Peak GPU Memory**: {with_unit(gigabytes(case['gpu_mem_allocated_bytes']), 'GB')}",
            f"**Total Compute Load**: {fixed(case['total_comp_load_pct_s'], 0)}",
        ),
        _bullets(
            *_settings(case, gpu_letter),
            _generations(case, measured - {None}),
            _checkpoint(stages),
            _duration(case, rows),
        ),
    ]
    parts += [] if case["status"] == stage_names.OK else [_failure(case)]
    parts += ["### Stage Breakdown", _stage_table(rows, case, any(stage["transfers"] for stage in stages))]
    if case["steps_done"]:
        parts += ["### Inference Statistics", _bullets(*_statistics(case), *_unusual(stages))]
    parts += _details([detail for detail in details if detail["generation"] in measured])
    return [*parts, "### Performance Analysis", analysis(case, findings)]


def _bullets(*lines: str) -> str:
    """A list of the lines that say something."""
    return "\n".join(f"- {line}" for line in lines if line)


def _settings(case: CaseRow, gpu_letter: str | None) -> list[str]:
    source = case["checkpoint"] if pd.notna(case["checkpoint"]) else f"{case['weights']}, {case['scale']} scale"
    source += "" if pd.isna(case["revision"]) else f" at {case['revision']}"
    settings = [f"{case['model']} {case['task']}", case["size"], f"{case['frames']} frames", f"{case['steps']} steps"]
    settings += [f"guidance {case['guidance']}", f"shift {case['shift']:g}", f"seed {case['seed']}"]
    settings += [f"offload {case['offload']}", case["dtype"], f"VAE {case['vae_dtype']}"]
    settings += ["VAE tiling"] if case["vae_tiling"] else []
    settings += [f"attention {plain(case['attention'])}"]
    settings += [] if case["compile"] == "none" else [f"compile {plain(case['compile'])}"]
    if case["cache"] != "none":
        settings.append(f"cache {plain(case['cache'])} (lossy, threshold {case['cache_threshold']:g})")
    settings += [] if case["gpus"] == 1 else [f"gpus {case['gpus']} (context parallel, Ulysses)"]
    ran_with = (provenance.software(case), provenance.deployment(case), provenance.code(case))
    return [
        ", ".join([*settings, f"weights {plain(source)}"]),
        f"Prompt: {plain(case['prompt'])}",
        "" if pd.isna(case["image"]) else f"Image: {plain(case['image'])}",
        f"Ran on: {plain(provenance.machine(case, gpu_letter))}",
        f"Ran with: {'; '.join(map(plain, ran_with))}; begun {case['started_at'][:16].replace('T', ' ')} UTC",
    ]


def _generations(case: CaseRow, measured: set[int]) -> str:
    """How many there are, and of which the figures are; empty where none began.

    Args:
        measured: numbers of those that figures are made of.
    """
    if not measured:
        return ""
    if not case["warmup"] and case["repeats"] == 1:
        return "Generations: 1, the first of its process, which is cold"
    excluded = case["generations_excluded"]
    contaminated = f"; {excluded} contaminated (see the findings) and excluded" if excluded else ""
    cold = "the cold first one" if measured == {0} else "without the cold first one"
    asked = f"{case['warmup']} to warm up, {case['repeats']} to measure"
    return f"Generations: {asked}; figures are of {len(measured)}, {cold}{contaminated}"


def _checkpoint(stages: list[dict[str, Any]]) -> str:
    """What loading took; empty where no checkpoint was loaded from a folder."""
    loaded = next((stage for stage in stages if stage["checkpoint_bytes"] is not None), None)
    if loaded is None:
        return ""
    size_bytes, time_s, disk_bytes = loaded["checkpoint_bytes"], loaded["time_s"], loaded["disk_read_bytes"]
    line = f"Checkpoint: {gigabytes(size_bytes)} GB in {fixed(time_s)} s, {gigabytes(size_bytes / time_s)} GB/s"
    if disk_bytes is None:
        return line
    # The process reads other files as well, such as libraries.
    return f"{line}; {gigabytes(min(disk_bytes, size_bytes))} GB of it from a disk, the rest from the page cache"


def _duration(case: CaseRow, rows: list[Row]) -> str:
    """What the life of the process consists of: start-up, execution, and what no stage covers."""
    times_s = {row.stage: row.time_s for row in rows}
    startup_s, total_s = times_s.get(stage_names.PROCESS_STARTUP), times_s.get(stage_names.TOTAL_EXECUTION)
    if startup_s is None or total_s is None:
        return ""
    matmul_s = 0.0 if pd.isna(case["matmul_s"]) else case["matmul_s"]
    parts = [f"Process\\_Startup {fixed(startup_s)} s", f"Total\\_Execution {fixed(total_s)} s"]
    parts += [f"{fixed(matmul_s)} s to measure the rate of matrix products"] if matmul_s else []
    rest = fixed(float(case["total_duration_s"]) - startup_s - total_s - matmul_s)
    check = ", to check the output" if case["status"] == stage_names.OK else ""
    return f"Total Duration is the life of the process: {', '.join(parts)}, and {rest} s in between{check} and to end"


def _failure(case: CaseRow) -> str:
    reached = "" if pd.isna(case["stage_reached"]) else f" in {case['stage_reached']}"
    kind = "" if pd.isna(case["error_type"]) else f"{plain(case['error_type'])}: "
    return f"**Ended with status {case['status']}{reached}**: {kind}{plain(case['error_message'])}"


def _stage_table(rows: list[Row], case: CaseRow, with_transfers: bool) -> str:
    if not rows:
        return "No stage was reached."
    metrics = [metric for metric in _SHOWN if with_transfers or metric.key not in _TRANSFERS]
    spread = _SPREAD if case["generations"] > 1 else {}
    cells = [
        {"Stage": row.stage}
        | {metric.label: fixed(getattr(row, metric.key), metric.decimals, metric.scale) for metric in metrics}
        | {"MFU (%)": fixed(_mfu_pct(row, case), 1)}
        | {name: fixed(getattr(row, key)) for name, key in spread.items()}
        | {"Interrupted": "yes" if row.interrupted else "no"}
        for row in rows
    ]
    shown = pd.DataFrame(cells)
    if not any(row.interrupted for row in rows):
        shown = shown.drop(columns="Interrupted")
    return markdown_table(shown, ("Stage",))


def _mfu_pct(row: Row, case: CaseRow) -> float | None:
    """None where the stage computes in a type that the peak is not for: float32 has another."""
    dtype = case["vae_dtype"] if row.stage in (stage_names.VAE_DECODING, stage_names.PREPROCESS) else case["dtype"]
    # Both are None where the GPU or its rate is not known.
    name, measured = (case[key] if pd.notna(case[key]) else None for key in ("gpu_name", "matmul_flops_per_s"))
    peak = peak_flops_per_s(name, measured)
    if peak is None or dtype == "float32":
        return None
    return mfu_pct(row.flops, row.time_s, peak[0] * gpus_that_share(row.stage, case["gpus"]))


def _statistics(case: CaseRow) -> list[str]:
    of_one = " (1 step)" if is_of_one_step(case) else ""
    kind = "Median" if case["cache"] == "none" else "Mean"
    lines = {
        "Avg Time per Step": (fixed(case["step_mean_s"]), "s"),
        "Avg SM Activity": (fixed(case["inference_sm_activity_pct"], 1), "%"),
        "Avg CPU Utilization": (fixed(case["inference_cpu_pct"], 1), "%"),
        "Total Inference Load": (fixed(case["inference_comp_load_pct_s"], 0), ""),
        f"{kind} Time per Step (without first and switch step)": (fixed(case["step_s"]), f"s{of_one}"),
        "First Step": (fixed(case["first_step_s"]), "s"),
    }
    if case["generations"] > 1:
        lines["First Step of the Cold Generation"] = (fixed(case["cold_first_step_s"]), "s")
    if pd.notna(case["switch_step_s"]):
        lines["Expert Switch Step"] = (fixed(case["switch_step_s"]), "s")
    if case["cache"] != "none":
        known = pd.notna(case["passes"])
        reused = f"{case['passes_reused']:.0f} of {case['passes']:.0f}" if known else NOT_MEASURED
        lines["Passes Reused by the Cache"] = (reused, "")
    lines[f"{kind} Energy per Step"] = (fixed(case["step_energy_j"], 0), f"J{of_one}")
    lines[_VIDEO_SECOND] = (fixed(case["video_second_energy_j"], 0), "J")
    return [f"**{label}**: {with_unit(value, unit)}" for label, (value, unit) in lines.items()]


def _unusual(stages: list[dict[str, Any]]) -> list[str]:
    """A line for each generation that took unlike the others; the median passes over it."""
    return [
        f"**Unusual Generation**: number {generation.number} (from 0) took {fixed(generation.time_s)} s, modified "
        f"z-score {generation.z_score:.1f}"
        for generation in unusual_generations(stages)
    ]


def _details(details: list[dict[str, Any]]) -> list[str]:
    if not details:
        return []
    times_s = pd.DataFrame(details).groupby("detail", sort=False)["time_s"].agg(["count", "median", "sum"])
    rows = [
        {"Part": plain(part), "Count": str(count), "Median (s)": fixed(median_s, 3), "Sum (s)": fixed(sum_s, 3)}
        for part, count, median_s, sum_s in times_s.itertuples()
    ]
    return ["### Details", markdown_table(rows, ("Part",))]
