"""What the figures of a case say: rules as data and pure functions.

A rule whose figures were not measured stays silent: nothing is concluded from what is absent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wanbench.report.breakdown import Row
from wanbench.report.numbers import fixed, gigabytes
from wanbench.trace import names

_LOW_SM_PCT = 50.0  # half of the GPU's processors idle: something else than the GPU sets the pace
_FULL_MEMORY_PCT = 90.0  # fragmentation and other processes need the last tenth
_DOMINANT_PCT = 40.0  # a stage outside denoising that takes this share is worth more than a faster denoiser


@dataclass(frozen=True)
class Finding:
    """Something to act on.

    Attributes:
        rule: name of the rule, stable across reports.
        severity: "warning" (the figures or the run are in danger) or "note".
        evidence: the measured figures that made the rule fire; units are in the keys.
        text: the finding and the advice, as the report prints them.
    """

    rule: str
    severity: str
    evidence: dict[str, float]
    text: str


def findings_of(case: pd.Series, rows: list[Row]) -> list[Finding]:
    """All findings of a case, in the order of the rules."""
    found = [rule(case, rows) for rule in _RULES]
    return [finding for finding in found if finding is not None]


def low_sm_activity(case: pd.Series, rows: list[Row]) -> Finding | None:
    total = next((row for row in rows if row.stage == names.TOTAL_EXECUTION), None)
    if total is None or total.sm_activity_pct is None or total.sm_activity_pct >= _LOW_SM_PCT:
        return None
    return Finding(
        "low_sm_activity",
        "note",
        {"sm_activity_pct": total.sm_activity_pct},
        f"SM activity is {total.sm_activity_pct:.1f} % over Total_Execution. Look for the stages below that with "
        "the longest time: they wait for the host, for weights or for the disk.",
    )


def vram_margin(case: pd.Series, rows: list[Row]) -> Finding | None:
    peak_bytes, total_bytes = case["gpu_mem_allocated_bytes"], case["gpu_mem_total_bytes"]
    if pd.isna(peak_bytes) or pd.isna(total_bytes) or 100 * peak_bytes < _FULL_MEMORY_PCT * total_bytes:
        return None
    return Finding(
        "vram_margin",
        "warning",
        {"peak_bytes": float(peak_bytes), "device_bytes": float(total_bytes)},
        f"Peak GPU memory of {gigabytes(peak_bytes)} GB is {100 * peak_bytes / total_bytes:.0f} % of the "
        f"{gigabytes(total_bytes)} GB of this {case['gpu_name']}. Set `offload: model` or `vae_tiling: true`.",
    )


def host_memory_margin(case: pd.Series, rows: list[Row]) -> Finding | None:
    peak_bytes, total_bytes = case["sys_mem_bytes"], case["sys_mem_total_bytes"]
    if pd.isna(peak_bytes) or pd.isna(total_bytes) or 100 * peak_bytes < _FULL_MEMORY_PCT * total_bytes:
        return None
    return Finding(
        "host_memory_margin",
        "warning",
        {"peak_bytes": float(peak_bytes), "host_bytes": float(total_bytes)},
        f"System memory reached {gigabytes(peak_bytes)} GB of {gigabytes(total_bytes)} GB. With offload the weights "
        "live there: close other programs, or set `offload: none` if the GPU can hold them.",
    )


def step_time_changed(case: pd.Series, rows: list[Row]) -> Finding | None:
    if pd.isna(case["step_change_at"]):
        return None
    before_s, after_s = float(case["step_change_before_s"]), float(case["step_change_after_s"])
    return Finding(
        "step_time_changed",
        "warning",
        {"step": float(case["step_change_at"]), "before_s": before_s, "after_s": after_s},
        f"Step time changed from {before_s:.2f} s to {after_s:.2f} s at step {case['step_change_at']}, so s/step "
        "describes neither. Look for another process on this machine, or for throttling, and run the case again.",
    )


def unaccounted_time(case: pd.Series, rows: list[Row]) -> Finding | None:
    if "unaccounted_time" not in _faults(case):
        return None
    share_pct = 100 - float(case["stage_coverage_pct"])
    return Finding(
        "unaccounted_time",
        "warning",
        {"unaccounted_pct": share_pct},
        f"{share_pct:.1f} % of Total_Execution ({fixed(case['unaccounted_s'])} s) belongs to no stage.",
    )


def sampling_gaps(case: pd.Series, rows: list[Row]) -> Finding | None:
    if "sampling_gaps" not in _faults(case):
        return None
    covered_pct, gap_s = float(case["sample_coverage_pct"]), float(case["greatest_sample_gap_s"])
    return Finding(
        "sampling_gaps",
        "warning",
        {"sample_coverage_pct": covered_pct, "greatest_sample_gap_s": gap_s},
        f"Samples cover {covered_pct:.1f} % of the time (greatest gap {gap_s:.2f} s), so sampled columns may miss "
        "what happened. The sampler needs a share of one CPU core: leave it one.",
    )


def output_not_finite(case: pd.Series, rows: list[Row]) -> Finding | None:
    if "output_not_finite" not in _faults(case):
        return None
    return Finding(
        "output_not_finite",
        "warning",
        {},
        "The video holds values that are not numbers: this setting does not work, however fast it is.",
    )


def foreign_process(case: pd.Series, rows: list[Row]) -> Finding | None:
    if "foreign_process" not in _faults(case):
        return None
    count, memory_bytes = int(case["foreign_processes"]), case["foreign_mem_bytes"]
    evidence = {"foreign_processes": float(count)}
    if pd.notna(memory_bytes):
        evidence["foreign_mem_bytes"] = float(memory_bytes)
    return Finding(
        "foreign_process",
        "warning",
        evidence,
        f"{count} other process(es) used this GPU during the case, with up to {gigabytes(memory_bytes)} GB: time, SM "
        "activity and energy are not this case's alone. Free the GPU and run the case again.",
    )


def slowed_down(case: pd.Series, rows: list[Row]) -> Finding | None:
    if "slowed_down" not in _faults(case):
        return None
    return Finding(
        "slowed_down",
        "warning",
        {},
        f"The GPU was held below its own speed: {case['throttled']}. Look at its cooling and power supply.",
    )


def dominant_stage(case: pd.Series, rows: list[Row]) -> Finding | None:
    total = next((row for row in rows if row.stage == names.TOTAL_EXECUTION), None)
    others = [row for row in rows if row.stage in _ADVICE and not _meaningless(case, row)]
    longest = max(others, key=lambda row: row.time_s, default=None)
    if total is None or longest is None or 100 * longest.time_s < _DOMINANT_PCT * total.time_s:
        return None
    share_pct = 100 * longest.time_s / total.time_s
    return Finding(
        "dominant_stage",
        "note",
        {"time_s": longest.time_s, "share_pct": share_pct},
        f"{longest.stage} takes {fixed(longest.time_s)} s, {share_pct:.0f} % of Total_Execution. "
        f"{_ADVICE[longest.stage](case)}",
    )


def _decoding_advice(case: pd.Series) -> str:
    advice = []
    if case["vae_dtype"] == "float32":
        advice.append("`vae_dtype: bfloat16` halves what it moves.")
    if case["vae_tiling"]:
        advice.append("`vae_tiling: true` saves memory and costs time: set it to false if the memory is there.")
    return " ".join(advice) or "More steps or longer videos make its share smaller, not its time."


_ADVICE: dict[str, Callable[[pd.Series], str]] = {
    names.MODEL_INITIALIZATION: lambda case: "Generate more than one video per start: it is paid once.",
    names.TEXT_ENCODING: lambda case: "Encode a prompt once and pass its embeddings when it is used again.",
    names.VAE_DECODING: _decoding_advice,
    names.VIDEO_EXPORT: lambda case: "It runs on the CPU: export in another process while the next video is made.",
}

_RULES: tuple[Callable[[pd.Series, list[Row]], Finding | None], ...] = (
    foreign_process,
    slowed_down,
    step_time_changed,
    output_not_finite,
    unaccounted_time,
    sampling_gaps,
    vram_margin,
    host_memory_margin,
    low_sm_activity,
    dominant_stage,
)


def _faults(case: pd.Series) -> list[str]:
    return str(case["faults"]).split()


def _meaningless(case: Any, row: Row) -> bool:
    return row.stage == names.MODEL_INITIALIZATION and case["weights"] == "random"
