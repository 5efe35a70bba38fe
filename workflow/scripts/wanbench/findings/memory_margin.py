"""Rules about memory: what did not fit, and what only just did."""

import re
from collections.abc import Iterator

import pandas as pd

from wanbench.analysis.comparable import known, label
from wanbench.analysis.numbers import gigabytes
from wanbench.analysis.same_workload import differing_settings
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import Option, case_of, fits
from wanbench.findings.basis import WARNING, Context, Finding, Rule
from wanbench.findings.savings import savings, that_fit, without_offload
from wanbench.registry.stages import OOM

_ASKED_FOR = re.compile(r"Tried to allocate ([0-9.]+) (KiB|MiB|GiB|TiB)")
_UNITS_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _out_of_memory(context: Context) -> Iterator[Finding]:
    if context.case["status"] != OOM:
        return
    total_bytes, estimate_bytes = context.number("gpu_mem_total_bytes"), context.number("estimated_peak_bytes")
    asked = _ASKED_FOR.search("" if pd.isna(context.case["error_message"]) else context.case["error_message"])
    stage = "" if pd.isna(context.case["stage_reached"]) else f" in {context.case['stage_reached']}"
    evidence, parts = {}, [f"The case ran out of GPU memory{stage}"]
    if asked:
        evidence["asked_for_bytes"] = float(asked[1]) * _UNITS_BYTES[asked[2]]
        parts.append(f"when {gigabytes(evidence['asked_for_bytes'])} GB more were asked for")
    if total_bytes is not None:
        evidence["device_bytes"] = total_bytes
        parts.append(f"of the {gigabytes(total_bytes)} GB of this {context.case['gpu_name']}")
    sentences = [" ".join(parts) + "."]
    if estimate_bytes is not None:
        evidence["estimated_peak_bytes"] = estimate_bytes
        sentences.append(f"Estimated peak: {gigabytes(estimate_bytes)} GB.")
    advice, advised = _what_fits(context)
    yield Finding("out_of_memory", WARNING, evidence, " ".join(sentences), advice, advised)


def _what_fits(context: Context) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """Sentences about settings whose estimate fits this GPU and a case that did, and these settings."""
    fitting = fits(context, estimated_peak_bytes(case_of(context.case)))
    if fitting is None:
        return "", ()
    if fitting:
        return "That would fit: look for what else held memory on this GPU.", ()
    options, shown = that_fit(context), _seen_to_fit(context)
    advice = (
        f"What should fit: {' or '.join(option.words for option in options)}."
        if options
        else "No setting brings it down enough: make it smaller or shorter (`size`, `frames`)."
    )
    return f"{advice} {shown}".strip(), tuple(option.settings for option in options)


def _seen_to_fit(context: Context) -> str:
    fitting = context.peers.fitting
    if fitting is None:
        return ""
    settings = differing_settings(context.case, fitting)
    differs = f" ({' and '.join(f'`{setting}`' for setting in settings)})" if settings else ""
    return (
        f"Measured here: case {label(fitting)}{differs} fits with {gigabytes(fitting['gpu_mem_allocated_bytes'])} GB."
    )


def _vram_margin(context: Context) -> Iterator[Finding]:
    peak_bytes, total_bytes = context.number("gpu_mem_allocated_bytes"), context.number("gpu_mem_total_bytes")
    # A case that did not fit has a finding of its own.
    if peak_bytes is None or total_bytes is None or context.case["status"] == OOM:
        return
    outside_bytes = _outside_torch_bytes(context)
    full_bytes = peak_bytes + (outside_bytes or 0)
    if 100 * full_bytes < context.thresholds.full_gpu_memory_pct * total_bytes:
        return
    evidence = {"peak_bytes": peak_bytes, "device_bytes": total_bytes}
    outside = ""
    if outside_bytes is not None:
        evidence["outside_torch_bytes"] = outside_bytes
        outside = f", with {gigabytes(outside_bytes)} GB that CUDA and others held,"
    options = _savings_left(context)
    advice = " or ".join(option.words for option in options)
    gpus = int(context.case["gpus"])
    each = "" if gpus == 1 else f" on each of {gpus} GPUs"
    text = (
        f"Peak GPU memory of {gigabytes(peak_bytes)} GB{each}{outside} is "
        f"{100 * full_bytes / total_bytes:.0f} % of the "
        f"{gigabytes(total_bytes)} GB of this {context.case['gpu_name']}."
    )
    advice = f"Set {advice}." if options else "No setting lowers it: make it smaller or shorter."
    yield Finding("vram_margin", WARNING, evidence, text, advice, tuple(option.settings for option in options))


def _outside_torch_bytes(context: Context) -> float | None:
    """The most that the device held beyond what torch's allocator had: CUDA itself, libraries, other processes."""
    beyond = [
        row.gpu_mem_used_bytes - row.gpu_mem_reserved_bytes
        for row in context.rows
        if row.gpu_mem_used_bytes is not None and row.gpu_mem_reserved_bytes is not None
    ]
    # Samples come every tenth of a second and may miss the peak that the allocator counted.
    return max(0.0, *beyond) if beyond else None


def _savings_left(context: Context) -> list[Option]:
    """Single settings that should lower the peak (with what must change beside them), else the first of several."""
    left = [saving for saving in savings(context) if not _saved_nothing(context, saving)]
    single = [saving for saving in left if len(set(saving.settings) - {"compile: none"}) == 1]
    return single or left[:1]


def _saved_nothing(context: Context, saving: Option) -> bool:
    """Whether this very GPU showed that the settings lower the peak less than equal cases differ."""
    own_bytes = context.number("gpu_mem_allocated_bytes")
    least_bytes = (1 - context.thresholds.no_effect_memory_pct / 100) * (own_bytes or 0)
    return any(
        near.same_gpu
        and (near.setting,) == saving.settings
        and (known(near.row["gpu_mem_allocated_bytes"]) or 0) > least_bytes
        for near in context.neighbours
    )


def _host_memory_margin(context: Context) -> Iterator[Finding]:
    peak_bytes, total_bytes = context.number("sys_mem_bytes"), context.number("sys_mem_total_bytes")
    if peak_bytes is None or total_bytes is None:
        return
    if 100 * peak_bytes < context.thresholds.full_host_memory_pct * total_bytes:
        return
    text = f"System memory reached {gigabytes(peak_bytes)} GB of {gigabytes(total_bytes)} GB."
    evidence = {"peak_bytes": peak_bytes, "host_bytes": total_bytes}
    advice, advised = "Close other programs.", ()
    if context.case["offload"] != "none" and context.case["status"] != OOM:
        resident = without_offload(context)
        advice, advised = f"{advice} Offloaded weights wait there: {resident.words}.", resident.advised
    yield Finding("host_memory_margin", WARNING, evidence, text, advice, advised)


RULES = (
    Rule(
        "out_of_memory",
        "The case does not fit this GPU: a result, and it is not tried again. The stage and the size asked for are "
        "from torch's message; the peak is estimated from the settings alone, within 3 % of what was measured in "
        "the cases kept with the project (H100, H200). The settings named are the first whose estimate is within "
        "`full_gpu_memory_pct` of the GPU's memory, with the case's own offload and with another: first what changes "
        "no video (compiling, or moving weights, which takes time in each generation), then what does. A case "
        "of this report that is named made the same video on a GPU of the same name, the fastest of those. Rules about "
        "speed say nothing of a case that does not fit.",
        _out_of_memory,
    ),
    Rule(
        "vram_margin",
        "The case fitted, but only just. The peak is what torch had allocated at most, and what CUDA, libraries and "
        "others held beside torch's allocator (by NVML, where sampled), against the memory of the GPU that ran. What "
        "the allocator only keeps in reserve is not counted, since it is given back when needed. Above "
        "`full_gpu_memory_pct`, fragmentation, another driver or one more process ends the case. The settings "
        "named are those whose estimated peak is lower than the estimate for the case as it is.",
        _vram_margin,
    ),
    Rule(
        "host_memory_margin",
        "The machine's own memory was nearly full: the highest of what the system called used, against all it has. "
        "Above `full_host_memory_pct` it drops cached files, swaps, or ends the process. Offloaded weights live there, "
        "all of a model at once.",
        _host_memory_margin,
    ),
)
