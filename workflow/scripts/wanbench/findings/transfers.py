"""The rule about weights that are transferred between the machine's memory and the GPU's."""

from collections.abc import Iterator

from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.findings.advice import Advised, fits, option, without_offload
from wanbench.findings.basis import Context, Finding, rule, total_of
from wanbench.findings.official_steps import scaled
from wanbench.findings.setting_effects import advisable
from wanbench.registry import stages as stage_names

_MEASURES = ("loading_s", "offloading_s", "loaded_bytes", "offloaded_bytes")


def transfers_of(context: Context) -> dict[str, float]:
    """Weight transfers of a measured run in figures, excluding compilation, and their share of its time."""
    stages = [stage for stage in context.stages if stage["generation"] is not None and stage["measured"]]
    stages = [stage for stage in stages if stage["stage"] != stage_names.COMPILATION]
    count = len({stage["generation"] for stage in stages}) or 1
    figures = {key: total_of(stage[key] for stage in stages) / count for key in _MEASURES}
    figures |= context.numbers("offload_all_s")
    transfer_s = figures["loading_s"] + figures["offloading_s"] + figures.get("offload_all_s", 0.0)
    generation_s = sum(stage["time_s"] for stage in stages) / count
    share_pct = 100 * transfer_s / generation_s if generation_s else 0.0
    return {"share_pct": share_pct, "transfer_s": transfer_s, "generation_s": generation_s} | figures


def is_transferring(context: Context) -> bool:
    """Whether transfers take a share that counts. On the CPU there is no second device, and they are bookkeeping."""
    share_pct = transfers_of(context)["share_pct"]
    on_gpu = context.case["status"] == stage_names.OK and context.case["device"] == "cuda"
    return bool(on_gpu and share_pct and share_pct >= context.thresholds.transfer_bound_pct)


def typical_transfer_s(context: Context) -> float:
    """Seconds of a typical step in which weights are transferred."""
    parts = []
    for inference in context.typical_rows:
        loading = context.row(stage_names.step_loading(stage_names.step_index(inference.stage) or 0))
        rows = [row for row in (inference, loading) if row is not None]
        parts.append(total_of(value for row in rows for value in (row.loading_s, row.offloading_s)))
    return context.typical(parts) if parts else 0.0


@rule(
    "The GPU waits while weights are transferred between the machine's memory and its own: Loading (s), Offloading (s) "
    "and Offload_All take `transfer_bound_pct` or more of a generation without compilation. With `group_stream` only "
    "the waiting counts. Where the share scaled to the official steps is below that, it is a note."
)
def transfer_bound(context: Context) -> Iterator[Finding]:
    if not is_transferring(context):
        return
    evidence, limit_pct = transfers_of(context), context.thresholds.transfer_bound_pct
    transfer_s, step_s = evidence["transfer_s"], typical_transfer_s(context)
    official = scaled(context, transfer_s, evidence["generation_s"], limit_pct, step_part_s=step_s)
    text = (
        f"Weight transfers take {fixed(transfer_s)} s, {evidence['share_pct']:.0f} % of a generation of "
        f"{context.case['steps']} steps{official.words}: {', '.join(_directions(context, evidence))}."
    )
    advice, advised = _advice(context)
    yield Finding("transfer_bound", official.severity, evidence | official.evidence, text, advice, advised)


def _directions(context: Context, evidence: dict[str, float]) -> Iterator[str]:
    # Copies on a stream of their own take longer than the GPU waits for them: there is no rate of the waiting.
    streamed = context.case["offload"] == "group_stream"
    for way, size_key, time_key in (("to", "loaded_bytes", "loading_s"), ("from", "offloaded_bytes", "offloading_s")):
        size_bytes, time_s = evidence[size_key], evidence[time_key]
        if size_bytes:
            rate = "" if streamed or not time_s else f" at {size_bytes / time_s / 1e9:.1f} GB/s"
            yield f"{gigabytes(size_bytes)} GB {way} the GPU{rate}"
    if "offload_all_s" in evidence:
        yield f"the rest in {fixed(evidence['offload_all_s'])} s at the end (Offload_All)"


def _advice(context: Context) -> tuple[str, Advised]:
    words, advised = without_offload(context)
    words = f"{words[0].upper()}{words[1:]}"
    if advised:
        return f"{words}.", advised
    streamed = option(context, offload="group_stream")
    useful = advisable(context, "offload", "group_stream") and not _compilation_saves_more(context)
    if streamed is None or not fits(context, streamed.peak_bytes) or not useful:
        return f"{words}: only a GPU with more memory helps.", ()
    words += f": set {streamed.words}, which copies while the GPU computes, or use a GPU with more memory."
    return words, (streamed.settings,)


def _compilation_saves_more(context: Context) -> bool:
    """Whether compiled steps, by a case that differs in that alone, save more than all that transfers take.

    Streaming does not go with compilation.
    """
    step_s, transfer_s = context.number("step_s") or 0.0, context.number("weight_transfer_s") or 0.0
    eager = (pair for pair in context.pairs if (pair["key"], pair["other_value"]) == ("compile", "none"))
    ratios = [pair["step_ratio"] for pair in eager if pair["step_ratio"]]
    return any(context.official_steps * (step_s / ratio - step_s) >= transfer_s for ratio in ratios)


RULES = (transfer_bound,)
