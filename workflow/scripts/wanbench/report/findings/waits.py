"""Rules about what the GPU waits for: the host that launches its work, and weights on their way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wanbench.models import MODELS
from wanbench.report.breakdown import Row
from wanbench.report.comparisons import step_text
from wanbench.report.findings.advice import alternatives, can_compile, fits, option
from wanbench.report.findings.basis import (
    BOTTLENECK,
    Context,
    Finding,
    Rule,
    denoising_mean,
    executed,
    generation_stages,
    in_typical_steps,
    made_at_random,
    total_of,
)
from wanbench.report.findings.gains import advisable
from wanbench.report.findings.savings import without_offload
from wanbench.report.numbers import fixed, gigabytes
from wanbench.trace import names


def _low_sm_inference(context: Context) -> Iterator[Finding]:
    sm_pct = context.number("inference_sm_activity_pct")
    if sm_pct is None or sm_pct >= context.thresholds.low_sm_activity_pct:
        return
    steps = [row for row in context.rows if row.stage.endswith("_Inference")]
    text = (
        f"SM activity is {sm_pct:.1f} % over the inference of all steps: the GPU waits in denoising itself, most in "
        f"{_idlest(steps)}."
    )
    advice = (
        "Open the trace in Perfetto and look at what CPU and PCIe do under these steps: one busy core means launches, "
        "traffic means weights; a first step alone is passed by `warmup: 1`."
    )
    yield Finding("low_sm_inference", BOTTLENECK, {"sm_activity_pct": sm_pct}, text, advice)


def _idlest(rows: Iterable[Row], count: int = 3) -> str:
    """The stages in which the GPU idles the longest, with time and SM activity."""
    sampled = [row for row in rows if row.sm_activity_pct is not None]
    idle = sorted(sampled, key=lambda row: row.time_s * (100 - row.sm_activity_pct), reverse=True)
    return ", ".join(f"{row.stage} ({fixed(row.time_s)} s at {row.sm_activity_pct:.0f} %)" for row in idle[:count])


def _low_sm_activity(context: Context) -> Iterator[Finding]:
    total, base = context.row(names.TOTAL_EXECUTION), executed(context)
    if total is None or base is None or total.sm_activity_pct is None:
        return
    made = made_at_random(context)
    sm_pct = _without(total, made)
    if sm_pct is None or sm_pct >= context.thresholds.low_sm_activity_pct:
        return
    leaves = [row for row in context.rows if names.is_stage(row.stage) and row.stage not in names.NOT_LEAVES]
    text = (
        f"SM activity is {sm_pct:.1f} % over {base[1]}. The GPU idles most in "
        f"{_idlest(row for row in leaves if row is not made)}."
    )
    yield Finding("low_sm_activity", BOTTLENECK, {"sm_activity_pct": sm_pct}, text, _idle_advice(context))


def _idle_advice(context: Context) -> str:
    if _is_moving(context):
        return "Weights on their way are part of it (transfer_bound): begin there."
    return (
        "Open the trace in Perfetto and look at CPU, PCIe and memory under these stages: what is busy there is what "
        "the GPU waits for."
    )


def _without(total: Row, part: Row | None) -> float | None:
    """SM activity of a stage without a part of it; None where that of the part was not measured."""
    if part is None:
        return total.sm_activity_pct
    if part.sm_activity_pct is None or part.time_s >= total.time_s:
        return None
    load_pct_s = total.sm_activity_pct * total.time_s - part.sm_activity_pct * part.time_s
    return load_pct_s / (total.time_s - part.time_s)


def _launch_bound(context: Context) -> Iterator[Finding]:
    sm_pct, cpu_pct = denoising_mean(context, "sm_activity_pct"), denoising_mean(context, "process_cpu_pct")
    logical_cores = context.number("cpu_cores_logical")
    if sm_pct is None or cpu_pct is None or logical_cores is None:
        return
    cores = cpu_pct * logical_cores / 100
    moving_pct = _moving_pct(context)
    if sm_pct >= context.thresholds.launch_bound_sm_pct or cores < context.thresholds.launch_bound_cores:
        return
    if moving_pct >= context.thresholds.transfer_bound_pct:
        return
    compilable = can_compile(context.case) and advisable(context, "compile: repeated_blocks")
    advice = (
        "`compile: repeated_blocks` launches fewer, larger kernels."
        if compilable
        else "Larger videos or a faster CPU core fill the GPU better."
    )
    text = (
        f"{in_typical_steps(context).capitalize()}: {sm_pct:.1f} % SM activity while the process uses {cores:.1f} CPU "
        "cores, so that it cannot launch work as fast as the GPU finishes it."
    )
    evidence = {"sm_activity_pct": sm_pct, "process_cores": cores, "moving_pct": moving_pct}
    advised = alternatives("compile: repeated_blocks") if compilable else ()
    yield Finding("launch_bound", BOTTLENECK, evidence, text, advice, advised)


def _moving_pct(context: Context) -> float:
    stages = generation_stages(context)
    moving_s = total_of(stage[key] for stage in stages for key in ("loading_s", "offloading_s"))
    moving_s += (context.number("offload_all_s") or 0.0) * len({stage["generation"] for stage in stages})
    time_s = sum(stage["time_s"] for stage in stages)
    return 100 * moving_s / time_s if time_s else 0.0


def _is_moving(context: Context) -> bool:
    # A step's parts without moves have no entry: no weights moved at all where no stage has one.
    if not context.ran_to_its_end or _moving_pct(context) < max(context.thresholds.transfer_bound_pct, 1e-9):
        return False
    # On the CPU there is no second device: what looks like moves is their bookkeeping.
    return bool(context.case["device"] == "cuda")


def _transfer_bound(context: Context) -> Iterator[Finding]:
    if not _is_moving(context):
        return
    stages, share_pct = generation_stages(context), _moving_pct(context)
    count = len({stage["generation"] for stage in stages})
    loading_s, offloading_s, loaded, offloaded = (
        total_of(stage[key] for stage in stages) / count
        for key in ("loading_s", "offloading_s", "loaded_bytes", "offloaded_bytes")
    )
    # Copies on a stream of their own take longer than the GPU waits for them: there is no rate of the waiting.
    streamed = context.case["offload"] == "group_stream"
    moves = [
        f"{gigabytes(size)} GB {way} the GPU"
        + ("" if streamed or not time_s else f" at {size / time_s / 1e9:.1f} GB/s")
        for size, time_s, way in ((loaded, loading_s, "to"), (offloaded, offloading_s, "from"))
        if size
    ]
    evidence = {
        "share_pct": share_pct,
        "loading_s": loading_s,
        "offloading_s": offloading_s,
        "loaded_bytes": loaded,
        "offloaded_bytes": offloaded,
    }
    at_end_s = context.number("offload_all_s")
    if at_end_s is not None:
        evidence["offload_all_s"] = at_end_s
        moves.append(f"and what was left on it in {fixed(at_end_s)} s at the end (Offload_All)")
    evidence |= _pcie_rates(stages)
    advice, advised = _transfer_advice(context)
    moving_s = loading_s + offloading_s + (at_end_s or 0.0)
    text = (
        f"Moving weights takes {fixed(moving_s)} s, {share_pct:.0f} % of a generation of {context.case['steps']} "
        f"steps: {', '.join(moves)}."
    )
    yield Finding("transfer_bound", BOTTLENECK, evidence, text, advice, advised)


def _pcie_rates(stages: list[dict]) -> dict[str, float]:
    """The highest mean rates that PCIe counters saw over a stage that moves weights; none where not measured."""
    moving = [stage for stage in stages if stage["loading_s"] or stage["offloading_s"]]
    seen = {
        key: [stage[key] for stage in moving if stage[key] is not None]
        for key in ("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s")
    }
    return {key: max(rates) for key, rates in seen.items() if rates}


def _transfer_advice(context: Context) -> tuple[str, tuple[tuple[str, ...], ...]]:
    resident = without_offload(context)
    words = f"{resident.words[0].upper()}{resident.words[1:]}"
    if resident.advised:
        return f"{words}.", resident.advised
    streamed = option(context, offload="group_stream")
    if streamed is None or not fits(context, streamed.peak_bytes) or not advisable(context, streamed.settings[0]):
        return f"{words}: only a GPU with more memory helps.", ()
    if streamed.settings[1:]:
        eager = _eager_steps(context)
        if eager is not None and eager.lost_s >= (context.number("moving_weights_s") or 0.0):
            return (
                f"{words}, and `offload: group_stream` does not go with compilation, which saves more: {eager.words}. "
                "Only a GPU with more memory helps.",
                (),
            )
        if eager is not None:
            streamed = replace(streamed, price=(*streamed.price, eager.words))
    return (
        f"{words}: set {streamed.words}, which copies while the GPU computes, or use a GPU with more memory.",
        (streamed.settings,),
    )


@dataclass(frozen=True)
class _Eager:
    """What steps without compilation cost by another case of the report, over the official number of them."""

    lost_s: float
    words: str


def _eager_steps(context: Context) -> _Eager | None:
    own_s, eager = context.number("step_s"), context.peers.eager
    if own_s is None or eager is None:
        return None
    steps = MODELS[context.case["model"]].steps
    lost_s = steps * (float(eager["step_s"]) - own_s)
    words = f"{step_text(eager)} s/step instead of {step_text(context.case)} in case {eager['case']}"
    return _Eager(lost_s, f"{words}, {fixed(lost_s)} s over {steps} steps")


RULES = (
    Rule(
        "transfer_bound",
        "The GPU waits while weights move between the machine's memory and its own. The share is Loading "
        "(s), Offloading (s) and Offload_All (what the pipeline takes off the GPU at the end; its bytes are not "
        "counted) over the time of the generations that count, without compilation. With `group_stream` only the "
        "waiting counts, not the copies that computing hides. Rates are bytes over the time in which they move. "
        "Copies from ordinary (pageable) memory reach a few GB/s, far below the bus. From "
        "`transfer_bound_pct` on, another offload or a larger GPU is worth it.",
        _transfer_bound,
    ),
    Rule(
        "launch_bound",
        "Python cannot launch kernels as fast as the GPU finishes them. It is seen in the steps after the first, "
        "without the expert-switch step: SM activity below `launch_bound_sm_pct`, the measured process at about one "
        "CPU core (`launch_bound_cores`; its share of all logical cores times their number), and few weights on the "
        "move. A process that waits for the GPU keeps a core busy too, so only both together count. Compiling makes "
        "fewer, larger kernels.",
        _launch_bound,
    ),
    Rule(
        "low_sm_inference",
        "The multiprocessors had work for less than `low_sm_activity_pct` of the steps' inference time (the column SM "
        "Act, weighted by time; loading is not in it). Below half, something else than the GPU sets the pace of "
        "denoising: launches, a slow first step, or other processes.",
        _low_sm_inference,
    ),
    Rule(
        "low_sm_activity",
        "The multiprocessors had work for less than `low_sm_activity_pct` of Total_Execution. It counts loading, "
        "decoding and export, and initialisation with weights from a checkpoint, not the making of random ones. The "
        "stages named have the most idle time of those with samples. The trace shows what is busy there instead. A GPU "
        "that is rented by the hour is paid for that time too.",
        _low_sm_activity,
    ),
)
