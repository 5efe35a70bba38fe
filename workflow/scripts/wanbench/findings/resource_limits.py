"""Rules about what a case ran out of, or nearly: memory of the GPU and of the machine, and time."""

import math
import statistics
from collections.abc import Iterator

from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import fits, that_fit, without_offload
from wanbench.findings.basis import WARNING, Context, Found
from wanbench.registry import stages as stage_names

# What else may take longer the next time: other steps, decoding and export.
_TIME_MARGIN = 1.5


def out_of_memory(context: Context) -> Iterator[Found]:
    if context.case["status"] != stage_names.OOM:
        return
    error_type, message = (str(context.case[key]) for key in ("error_type", "error_message"))
    # Torch's allocator on the CPU, or Python, said so.
    of_host = context.on_the_cpu or error_type == "MemoryError" or "DefaultCPUAllocator" in message
    said = {"stage": context.case["stage_reached"] or "", "of_host": of_host}
    if of_host:
        evidence = context.numbers("sys_mem_total_bytes", "mem_limit_bytes", "process_mem_bytes")
        there_bytes = min(context.numbers("sys_mem_total_bytes", "mem_limit_bytes").values(), default=None)
        yield Found(WARNING, evidence, said=said | {"there_bytes": there_bytes})
        return
    evidence = context.numbers("gpu_mem_total_bytes", "estimated_peak_bytes")
    should_fit = fits(context, estimated_peak_bytes(context.as_case))
    options = [] if should_fit is not False else that_fit(context)
    said |= {"should_fit": should_fit, "options": options}
    yield Found(WARNING, evidence, [option.settings for option in options], said)


def vram_margin(context: Context) -> Iterator[Found]:
    evidence = context.numbers("gpu_mem_allocated_bytes", "gpu_mem_total_bytes")
    # A case that did not fit has a finding of its own.
    if len(evidence) < 2 or context.case["status"] == stage_names.OOM:
        return
    peak_bytes, total_bytes = evidence.values()
    if (outside_bytes := _outside_torch_bytes(context)) is not None:
        evidence["outside_torch_bytes"] = outside_bytes
    full_pct = 100 * (peak_bytes + (outside_bytes or 0)) / total_bytes
    if full_pct >= context.thresholds.full_gpu_memory_pct:
        options = that_fit(context)
        yield Found(
            WARNING, evidence, [option.settings for option in options], {"full_pct": full_pct, "options": options}
        )


def _outside_torch_bytes(context: Context) -> float | None:
    """The most that the device held beyond what torch's allocator had: CUDA itself, libraries, other processes."""
    beyond = [
        row.gpu_mem_used_bytes - row.gpu_mem_reserved_bytes
        for row in context.rows
        if row.gpu_mem_used_bytes is not None and row.gpu_mem_reserved_bytes is not None
    ]
    # Samples come every tenth of a second and may miss the peak that the allocator counted.
    return max(0.0, *beyond) if beyond else None


def host_memory_margin(context: Context) -> Iterator[Found]:
    evidence = context.numbers("container_mem_bytes", "mem_limit_bytes")
    if len(evidence) < 2:
        evidence = context.numbers("sys_mem_bytes", "sys_mem_total_bytes")
    if len(evidence) < 2:
        return
    peak_bytes, total_bytes = evidence.values()
    if 100 * peak_bytes >= context.thresholds.full_host_memory_pct * total_bytes:
        offloaded = context.case["offload"] != "none" and context.case["status"] != stage_names.OOM
        resident = without_offload(context) if offloaded else None
        yield Found(WARNING, evidence, resident.advised if resident else (), {"resident": resident})


def timed_out(context: Context) -> Iterator[Found]:
    case, took_s = context.case, context.number("total_duration_s")
    if case["status"] != stage_names.TIMEOUT or took_s is None:
        return
    steps = [stage for stage in context.stages if stage["step"] is not None and not stage["interrupted"]]
    done = [stage for stage in steps if stage["stage"] == stage_names.step_inference(stage["step"])]
    of_all = int(case["steps"]) * int(case["warmup"] + case["repeats"])
    evidence = {"total_duration_s": took_s, "steps_done": float(len(done)), "steps": float(of_all)}
    # Steps of a warm-up have no s/step, and take as long all the same.
    later_s = [stage["time_s"] for stage in done if stage["step"] > 0]
    step_s = context.number("step_s") or (statistics.fmean(later_s) if later_s else None)
    if step_s is not None:
        left_s = (of_all - len(done)) * step_s
        needed_s = float(math.ceil(_TIME_MARGIN * (took_s + left_s)))
        evidence |= {"step_s": step_s, "left_s": left_s, "needed_s": needed_s}
    yield Found(WARNING, evidence)


RULES = (out_of_memory, vram_margin, host_memory_margin, timed_out)
