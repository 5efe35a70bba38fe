"""The rule about weights that are transferred between the machine's memory and the GPU's."""

from collections.abc import Iterator

from wanbench.findings.advice import Option, fits, option, without_offload
from wanbench.findings.basis import Context, Found, rule, scaled, total_of
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


@rule
def transfer_bound(context: Context) -> Iterator[Found]:
    if not is_transferring(context):
        return
    evidence, limit_pct = transfers_of(context), context.thresholds.transfer_bound_pct
    transfer_s, step_s = evidence["transfer_s"], typical_transfer_s(context)
    severity, official = scaled(context, transfer_s, evidence["generation_s"], limit_pct, step_part_s=step_s)
    resident = without_offload(context)
    streamed = None if resident.advised else _streamed(context)
    advised = (streamed.settings,) if streamed else resident.advised
    yield Found(severity, evidence | official, advised, {"resident": resident, "streamed": streamed})


def _streamed(context: Context) -> Option | None:
    """Copying while the GPU computes, where that fits and is of use."""
    streamed = option(context, offload="group_stream")
    useful = streamed and fits(context, streamed.peak_bytes) and advisable(context, "offload", "group_stream")
    return streamed if useful else None


RULES = (transfer_bound,)
