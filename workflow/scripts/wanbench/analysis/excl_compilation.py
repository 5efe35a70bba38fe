"""What one video more costs: figures of generations without their compilation, which a process pays once."""

import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from wanbench.analysis.generations import Generation
from wanbench.registry import stages as stage_names
from wanbench.trace.reader import StageRecord, Trace

# The detail in which the pipeline takes all weights off the device, in Video_Export.
_OFFLOAD_ALL = "Offload_All"


@dataclass(frozen=True)
class Uncompiled:
    """Medians over generations; None where there is none, or none has the figure.

    Attributes:
        vae_computing_s: of decoding, without the weights that move in it.
        weight_transfer_s: time in which weights move, with those that leave the device at the end.
    """

    time_s: float | None
    energy_j: float | None
    vae_computing_s: float | None
    weight_transfer_s: float | None


def uncompiled(trace: Trace, generations: Sequence[Generation]) -> Uncompiled:
    """Figures of some of a trace's generations."""
    without = [generation.without_compilation() for generation in generations]
    decoding = [
        stage for generation in without for stage in generation.stages if stage.name == stage_names.VAE_DECODING
    ]
    return Uncompiled(
        time_s=_median(generation.time_s for generation in without),
        energy_j=_median(generation.energy_j for generation in without),
        vae_computing_s=_median(map(computing_s, decoding)),
        weight_transfer_s=_median(_weight_transfer_s(trace, generation) for generation in without),
    )


def computing_s(stage: StageRecord) -> float:
    """Time of a stage without the weights that move in it."""
    return stage.measures["time_s"] - _moving_s(stage)


def offload_all_s(trace: Trace, generations: Collection[int | None]) -> list[float]:
    """Times in which all weights left the device at the end of a generation.

    The pipeline asks for it with every way of offloading, and only with `model` is there anything to do.
    """
    if trace.case["offload"] != "model":
        return []
    return [
        detail.time_s for detail in trace.details if detail.name == _OFFLOAD_ALL and detail.generation in generations
    ]


def _weight_transfer_s(trace: Trace, generation: Generation) -> float:
    return sum(map(_moving_s, generation.stages)) + sum(offload_all_s(trace, {generation.number}))


def _moving_s(stage: StageRecord) -> float:
    return (stage.measures.get("loading_s") or 0.0) + (stage.measures.get("offloading_s") or 0.0)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
