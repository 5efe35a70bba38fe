"""Rules about memory: what did not fit, and what only just did."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from wanbench.cases.case import Case
from wanbench.memory import estimated_peak_bytes
from wanbench.report.findings.basis import WARNING, Context, Finding, Rule
from wanbench.report.numbers import gigabytes
from wanbench.trace.names import OOM

_ASKED_FOR = re.compile(r"Tried to allocate ([0-9.]+) (KiB|MiB|GiB|TiB)")
_UNITS_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

# In the order of their price: half the VAE's precision, time of decoding and seams, time to move weights.
_SAVINGS: tuple[dict[str, Any], ...] = (
    {"vae_dtype": "bfloat16"},
    {"vae_tiling": True},
    {"offload": "model"},
    {"offload": "model", "vae_dtype": "bfloat16"},
    {"offload": "model", "vae_dtype": "bfloat16", "vae_tiling": True},
    # Hooks on every layer do not go with compilation.
    {"offload": "group_stream", "vae_dtype": "bfloat16", "vae_tiling": True, "compile": "none"},
)


def case_of(row: pd.Series) -> Case:
    """The case of a row of the cases table, as far as the memory estimate looks at it."""
    values = {key: row[key] if key in row.index and pd.notna(row[key]) else None for key in Case.__dataclass_fields__}
    return Case(**values | {"guidance": ()})


def shown_setting(key: str, value: Any) -> str:
    """A setting as a grid file has it."""
    return f"{key}: {str(value).lower() if isinstance(value, bool) else value}"


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
        sentences.append(f"Its settings let expect a peak of {gigabytes(estimate_bytes)} GB.")
    fitting, advised = _first_that_fits(context)
    yield Finding("out_of_memory", WARNING, evidence, " ".join([*sentences, *fitting]), advised)


def _first_that_fits(context: Context) -> tuple[list[str], tuple[str, ...]]:
    """A sentence about the cheapest settings whose estimate fits this GPU, and these settings."""
    total_bytes, case = context.number("gpu_mem_total_bytes"), case_of(context.case)
    own_bytes = estimated_peak_bytes(case)
    if total_bytes is None or own_bytes is None:
        return [], ()
    room_bytes = context.thresholds.full_gpu_memory_pct / 100 * total_bytes
    if own_bytes <= room_bytes:
        return ["That would fit: look for what else held memory on this GPU."], ()
    for saving in _SAVINGS:
        changed = {key: value for key, value in saving.items() if getattr(case, key) != value}
        needed_bytes = estimated_peak_bytes(replace(case, **saving))
        if changed and needed_bytes < own_bytes and needed_bytes <= room_bytes:
            settings = tuple(shown_setting(key, value) for key, value in changed.items())
            listed = " and ".join(f"`{setting}`" for setting in settings)
            return [f"The cheapest change that should fit: {listed}, about {gigabytes(needed_bytes)} GB."], settings
    return ["No setting of offload and VAE brings it down enough: make it smaller or shorter (`size`, `frames`)."], ()


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
    savings = [shown_setting(key, value) for key, value in _savings_left(context.case)]
    advice = f"Set {' or '.join(f'`{saving}`' for saving in savings)}." if savings else "Make it smaller or shorter."
    text = (
        f"Peak GPU memory of {gigabytes(peak_bytes)} GB{outside} is {100 * full_bytes / total_bytes:.0f} % of the "
        f"{gigabytes(total_bytes)} GB of this {context.case['gpu_name']}. {advice}"
    )
    yield Finding("vram_margin", WARNING, evidence, text, tuple(savings))


def _outside_torch_bytes(context: Context) -> float | None:
    """The most that the device held beyond what torch's allocator had: CUDA itself, libraries, other processes."""
    beyond = [
        row.gpu_mem_used_bytes - row.gpu_mem_reserved_bytes
        for row in context.rows
        if row.gpu_mem_used_bytes is not None and row.gpu_mem_reserved_bytes is not None
    ]
    # Samples come every tenth of a second and may miss the peak that the allocator counted.
    return max(0.0, *beyond) if beyond else None


def _savings_left(case: pd.Series) -> list[tuple[str, Any]]:
    left: list[tuple[str, Any]] = []
    if case["vae_dtype"] == "float32":
        left.append(("vae_dtype", "bfloat16"))
    if not case["vae_tiling"]:
        left.append(("vae_tiling", True))
    if case["offload"] == "none":
        left.append(("offload", "model"))
    return left


def _host_memory_margin(context: Context) -> Iterator[Finding]:
    peak_bytes, total_bytes = context.number("sys_mem_bytes"), context.number("sys_mem_total_bytes")
    if peak_bytes is None or total_bytes is None:
        return
    if 100 * peak_bytes < context.thresholds.full_host_memory_pct * total_bytes:
        return
    offloaded = context.case["offload"] != "none"
    advice = ", or set `offload: none` if the GPU can hold the weights, which wait there now" if offloaded else ""
    reached = f"System memory reached {gigabytes(peak_bytes)} GB of {gigabytes(total_bytes)} GB."
    text = f"{reached} Close other programs{advice}."
    evidence = {"peak_bytes": peak_bytes, "host_bytes": total_bytes}
    yield Finding("host_memory_margin", WARNING, evidence, text, ("offload: none",) if offloaded else ())


RULES = (
    Rule(
        "out_of_memory",
        "The case does not fit this GPU: a result, and it is not tried again. The stage and the size asked for are "
        "from torch's message; the peak to expect is computed from the settings alone, within about 10 % of what was "
        "measured on an H200. The settings named are the first, from the cheapest on, whose estimate leaves the rest "
        "above `full_gpu_memory_pct` of the GPU's memory free.",
        _out_of_memory,
    ),
    Rule(
        "vram_margin",
        "The case fitted, but only just. The peak is what torch had allocated at most, and what CUDA, libraries and "
        "others held beside torch's allocator (by NVML, where sampled), against the memory of the GPU that ran. What "
        "the allocator only keeps in reserve is not counted, since it is given back when needed. Above "
        "`full_gpu_memory_pct`, fragmentation, another driver or one more process ends the case. Use a setting that "
        "needs less.",
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
