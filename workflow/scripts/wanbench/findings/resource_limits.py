"""Rules about what a case ran out of, or nearly: memory of the GPU and of the machine, and time."""

import math
import statistics
from collections.abc import Iterator

import pandas as pd

from wanbench.analysis.case_rows import case_of
from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import Option, fits, savings, that_fit, without_offload
from wanbench.findings.basis import WARNING, Context, Finding, rule
from wanbench.registry import stages as stage_names

# What else may take longer the next time: other steps, decoding and export.
_TIME_MARGIN = 1.5


@rule(
    "The case does not fit this GPU: a result, and it is not tried again. The settings named are the cheapest whose "
    "estimated peak is within `full_gpu_memory_pct` of the GPU's memory, with the case's own offload and with another. "
    "Estimates are within 3 % of the peaks measured on H100 and H200."
)
def out_of_memory(context: Context) -> Iterator[Finding]:
    if context.case["status"] != stage_names.OOM:
        return
    stage = context.case["stage_reached"]
    if _is_of_the_host(context):
        evidence = context.numbers("sys_mem_total_bytes", "mem_limit_bytes", "process_mem_bytes")
        there = gigabytes(min(evidence.get(key, math.inf) for key in ("sys_mem_total_bytes", "mem_limit_bytes")))
        text = "The case ran out of the host's memory" + ("" if pd.isna(stage) else f" in {stage}")
        advice = "Give it more, or make the video smaller or shorter (`size`, `frames`)."
        yield Finding("out_of_memory", WARNING, evidence, f"{text}; {there} GB may be used there at most.", advice)
        return
    evidence = context.numbers("gpu_mem_total_bytes", "estimated_peak_bytes")
    text = "The case ran out of GPU memory" + ("" if pd.isna(stage) else f" in {stage}")
    if "gpu_mem_total_bytes" in evidence:
        text += f", {gigabytes(evidence['gpu_mem_total_bytes'])} GB on this {context.case['gpu_name']}"
    if "estimated_peak_bytes" in evidence:
        text += f"; the estimated peak is {gigabytes(evidence['estimated_peak_bytes'])} GB"
    advice, options = _what_fits(context)
    yield Finding("out_of_memory", WARNING, evidence, f"{text}.", advice, tuple(each.settings for each in options))


def _is_of_the_host(context: Context) -> bool:
    """Whether it was not the GPU's memory that ran out: torch's allocator on the CPU, or Python, said so."""
    error_type, message = (str(context.case[key]) for key in ("error_type", "error_message"))
    return context.on_the_cpu or error_type == "MemoryError" or "DefaultCPUAllocator" in message


def _what_fits(context: Context) -> tuple[str, list[Option]]:
    """Settings whose estimate fits this GPU, in words and as options."""
    fitting, options = fits(context, estimated_peak_bytes(case_of(context.case))), that_fit(context)
    if fitting is None:
        return "", []
    if fitting:
        return "That would fit: look for what else held memory on this GPU.", []
    if not options:
        return "No setting brings it down enough: make it smaller or shorter (`size`, `frames`).", []
    return f"What should fit: {' or '.join(option.words for option in options)}.", options


@rule(
    "The case fitted, but only just: what torch allocated, and what CUDA and others held beside its allocator, is "
    "above `full_gpu_memory_pct` of the GPU's memory. Fragmentation, another driver or one more process then ends it."
)
def vram_margin(context: Context) -> Iterator[Finding]:
    evidence = context.numbers("gpu_mem_allocated_bytes", "gpu_mem_total_bytes")
    # A case that did not fit has a finding of its own.
    if len(evidence) < 2 or context.case["status"] == stage_names.OOM:
        return
    peak_bytes, total_bytes = evidence.values()
    outside = ""
    if (outside_bytes := _outside_torch_bytes(context)) is not None:
        evidence["outside_torch_bytes"] = outside_bytes
        outside = f", with {gigabytes(outside_bytes)} GB that CUDA and others held,"
    full_pct = 100 * (peak_bytes + (outside_bytes or 0)) / total_bytes
    if full_pct < context.thresholds.full_gpu_memory_pct:
        return
    each = "" if context.case["gpus"] == 1 else f" on each of {context.case['gpus']} GPUs"
    text = (
        f"Peak GPU memory of {gigabytes(peak_bytes)} GB{each}{outside} is {full_pct:.0f} % of the "
        f"{gigabytes(total_bytes)} GB of this {context.case['gpu_name']}."
    )
    options, advice = _savings_left(context), "No setting lowers it: make it smaller or shorter."
    if options:
        advice = f"What lowers it: {' or '.join(option.words for option in options)}."
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
    least_bytes = context.thresholds.no_effect_memory_pct / 100 * (context.number("gpu_mem_allocated_bytes") or 0)
    seen_to_save_nothing = {
        f"{pair['key']}: {pair['other_value']}"
        for pair in context.pairs
        if pair["same_gpu"] and (pair["memory_change_bytes"] or 0) > -least_bytes
    }
    left = [saving for saving in savings(context) if not set(saving.settings) <= seen_to_save_nothing]
    single = [saving for saving in left if len(set(saving.settings) - {"compile: none"}) == 1]
    return single or left[:1]


@rule(
    "The machine's own memory, or what its container may use, was full above `full_host_memory_pct`. Then it drops "
    "cached files, swaps, or ends the process."
)
def host_memory_margin(context: Context) -> Iterator[Finding]:
    evidence, of = context.numbers("container_mem_bytes", "mem_limit_bytes"), "Memory of the container"
    if len(evidence) < 2:
        evidence, of = context.numbers("sys_mem_bytes", "sys_mem_total_bytes"), "System memory"
    if len(evidence) < 2:
        return
    peak_bytes, total_bytes = evidence.values()
    if 100 * peak_bytes >= context.thresholds.full_host_memory_pct * total_bytes:
        text = f"{of} reached {gigabytes(peak_bytes)} GB of {gigabytes(total_bytes)} GB."
        advice, advised = "Close other programs.", ()
        if context.case["offload"] != "none" and context.case["status"] != stage_names.OOM:
            resident, advised = without_offload(context)
            advice = f"{advice} Offloaded weights wait there: {resident}."
        yield Finding("host_memory_margin", WARNING, evidence, text, advice, advised)


@rule(
    "The case took longer than its `timeout_s`, or than the time that its job had. The limit named is 1.5 times what "
    "it took and what the steps that were left would take at s/step."
)
def timed_out(context: Context) -> Iterator[Finding]:
    case, took_s = context.case, context.number("total_duration_s")
    if case["status"] != stage_names.TIMEOUT or took_s is None:
        return
    steps = [stage for stage in context.stages if stage["step"] is not None and not stage["interrupted"]]
    done = [stage for stage in steps if stage["stage"] == stage_names.step_inference(stage["step"])]
    of_all = int(case["steps"]) * int(case["warmup"] + case["repeats"])
    text = f"The case was ended after {fixed(took_s)} s, with {len(done)} of {of_all} steps done."
    evidence = {"total_duration_s": took_s, "steps_done": float(len(done)), "steps": float(of_all)}
    # Steps of a warm-up have no s/step, and take as long all the same.
    later_s = [stage["time_s"] for stage in done if stage["step"] > 0]
    step_s = context.number("step_s") or (statistics.fmean(later_s) if later_s else None)
    advice = "Raise `timeout_s`."
    if step_s is not None:
        left_s = (of_all - len(done)) * step_s
        needed_s = math.ceil(_TIME_MARGIN * (took_s + left_s))
        evidence |= {"step_s": step_s, "left_s": left_s, "needed_s": float(needed_s)}
        text += f" At {fixed(step_s)} s/step the others take {fixed(left_s)} s."
        advice = f"Set `timeout_s: {needed_s}`."
        # A job may have had less time than the case.
        if needed_s <= case["timeout_s"]:
            advice = f"`timeout_s: {case['timeout_s']:g}` should do: the next run asks the scheduler for all of it."
    yield Finding("timed_out", WARNING, evidence, text, advice)


RULES = (out_of_memory, vram_margin, host_memory_margin, timed_out)
