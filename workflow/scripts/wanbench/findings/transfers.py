"""The rule about weights that move between the machine's memory and the GPU's."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from wanbench.analysis.comparable import step_text
from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.findings.advice import fits, option
from wanbench.findings.basis import Context, Finding, Rule, generation_stages, total_of
from wanbench.findings.gains import advisable
from wanbench.findings.official_steps import Share, for_high_share, typical_moving_s
from wanbench.findings.savings import without_offload
from wanbench.models.facts import MODELS


def _moving(context: Context) -> Share:
    """The time in which weights move, of that of the generations that count."""
    stages = generation_stages(context)
    count = len({stage["generation"] for stage in stages})
    moving_s = total_of(stage[key] for stage in stages for key in ("loading_s", "offloading_s"))
    moving_s += (context.number("offload_all_s") or 0.0) * count
    return Share(moving_s, sum(stage["time_s"] for stage in stages), count, typical_moving_s(context))


def moving_pct(context: Context) -> float:
    moving = _moving(context)
    return 100 * moving.part_s / moving.whole_s if moving.whole_s else 0.0


def is_moving(context: Context) -> bool:
    # A step's parts without moves have no entry: no weights moved at all where no stage has one.
    if not context.ran_to_its_end or moving_pct(context) < max(context.thresholds.transfer_bound_pct, 1e-9):
        return False
    # On the CPU there is no second device: what looks like moves is their bookkeeping.
    return bool(context.case["device"] == "cuda")


def _transfer_bound(context: Context) -> Iterator[Finding]:
    if not is_moving(context):
        return
    stages, share_pct = generation_stages(context), moving_pct(context)
    count = len({stage["generation"] for stage in stages})
    loading_s, offloading_s, loaded, offloaded = (
        total_of(stage[key] for stage in stages) / count
        for key in ("loading_s", "offloading_s", "loaded_bytes", "offloaded_bytes")
    )
    # Copies on a stream of their own take longer than the GPU waits for them: there is no rate of the waiting.
    streamed = context.case["offload"] == "group_stream"
    transfers = [
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
        transfers.append(f"and what was left on it in {fixed(at_end_s)} s at the end (Offload_All)")
    official = for_high_share(context, _moving(context), context.thresholds.transfer_bound_pct)
    evidence |= official.evidence | _pcie_rates(stages)
    advice, advised = _transfer_advice(context)
    moving_s = loading_s + offloading_s + (at_end_s or 0.0)
    text = (
        f"Moving weights takes {fixed(moving_s)} s, {share_pct:.0f} % of a generation of {context.case['steps']} "
        f"steps{official.in_brackets()}: {', '.join(transfers)}."
    )
    yield Finding("transfer_bound", official.severity, evidence, text, advice, advised)


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
        if eager is not None and eager.lost_s >= (context.number("weight_transfer_s") or 0.0):
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
        "Copies from ordinary (pageable) memory reach a few GB/s, far below the bus. From `transfer_bound_pct` on, "
        "another offload or a larger GPU is worth it. With fewer steps than the model's official number the share is "
        "mostly greater than in full use; where it would be below the threshold there, by s/step and what "
        "moves in it, the finding is a note.",
        _transfer_bound,
    ),
)
