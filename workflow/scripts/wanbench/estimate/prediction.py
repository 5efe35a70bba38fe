"""What a case is likely to take on another GPU: time, memory, energy and cost, each with an interval.

Times are those of stage_times.py. With offload, weights are transferred at the rate of the kept cases, which their host
decided, or of PCIe where that is lower; the interval reaches from half of PCIe's rate to two thirds of the kept cases'.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from wanbench.cases.case import Case
from wanbench.cases.yaml_file import read_yaml
from wanbench.estimate.gpu_facts import GpuFacts
from wanbench.estimate.memory import estimated_peak_bytes, weights_of
from wanbench.estimate.stage_times import KERNEL_OF, stage_times_s, way_of, work_of
from wanbench.models.facts import MODELS, latent_frames, passes_per_step

_FILE = Path(__file__).with_name("prediction.yaml")
_WIDTH = 118
_NOTES = (
    "A generation at the model's official steps: text encoding, steps, decoding, and with offload the transfer of "
    "weights, whose rate the host decides. Most published figures of GPUs that the model was not fitted on lie within "
    "the interval of time (docs/prediction.md says how many). Memory is what torch allocates, and twice as much, which "
    "cases used where it was free. Fits: yes with it, may without it; time: where it fits. It cannot know another "
    "pipeline or other versions, a computer's cooling, or what lossy settings (a cache, 8-bit products, tiling) do."
)
# Memory that kept cases used, for what torch allocated, at most (1.93): part of it they could have done without.
MOST_USED = 2.0


@dataclass(frozen=True)
class Range:
    """A figure and its interval."""

    low: float
    typical: float
    high: float

    def __mul__(self, factor: float) -> "Range":
        return Range(self.low * factor, self.typical * factor, self.high * factor)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)


@dataclass(frozen=True)
class Prediction:
    """Figures of one generation at the official steps; None where there is no estimate, and why."""

    case: str
    why_none: str | None = None
    step_s: Range | None = None
    decoding_s: Range | None = None
    total_s: Range | None = None
    energy_j: Range | None = None
    cost: Range | None = None
    memory_bytes: int | None = None
    fits: str = "n/a"


@cache
def read_fit() -> SimpleNamespace:
    """What prediction.yaml holds, which says what each is."""
    return SimpleNamespace(**read_yaml(_FILE))


def why_no_time(case: Case, gpu: GpuFacts) -> str | None:
    """Why a case's time is not predicted; None where it is."""
    if case.scale == "tiny":
        return "tiny scale"
    if None in (gpu.bf16, gpu.tf32, gpu.pcie):
        return "rates not stated by the vendor"
    if case.gpus > 1:
        return "several GPUs"
    is_lossy = {case.cache, case.quantization, case.layerwise_casting} != {"none"} or case.vae_tiling
    if is_lossy or case.dtype == "float32":
        return "settings without a model"
    return None if case.attention in ("native", *KERNEL_OF) else f"attention {case.attention} without a model"


def predict(case: Case, gpu: GpuFacts, prices: dict[str, float]) -> Prediction:
    """What one generation takes at the model's official steps, without loading and starting.

    Time and energy are those of a GPU on which it fits.

    Args:
        prices: gpu_hour and kwh, each where it is given, in one currency.
    """
    memory = estimated_peak_bytes(case)
    fits = "n/a" if memory is None else _fits(memory / (1e9 * gpu.memory))
    if reason := why_no_time(case, gpu):
        return Prediction(case.name, reason, memory_bytes=memory, fits=fits)
    way, fit = way_of(case, gpu), read_fit()
    times_s = stage_times_s(work_of(case, way.per_token), way, gpu, fit.numbers)
    counts = {"step": MODELS[case.model].steps, "decoding": 1, "encoding": 1}
    computing, moving, stages = Range(0, 0, 0), Range(0, 0, 0), []
    for (stage, count), bytes_ in zip(counts.items(), moved_bytes(case)):
        time_s, moved = times_s[stage], _transfer(bytes_, case, gpu)
        computed = Range(time_s / fit.time_factor, time_s, time_s * fit.time_factor)
        stages.append(computed + moved)
        computing, moving = computing + computed * count, moving + moved * count
    total = computing + moving
    low, typical, high = (share * gpu.power for share in fit.power_share)
    energy = Range(computing.low * low, computing.typical * typical, computing.high * high)
    energy += moving * (fit.transfer_power_share * gpu.power)
    hourly, kwh = prices.get("gpu_hour"), prices.get("kwh")
    cost = total * ((hourly or 0) / 3600) + energy * ((kwh or 0) / 3.6e6) if hourly or kwh else None
    return Prediction(case.name, None, *stages[:2], total, energy, cost, memory, fits)


def _fits(share: float) -> str:
    return "no" if share > 1 else "may" if MOST_USED * share > 1 else "yes"


def moved_bytes(case: Case) -> tuple[float, float, float]:
    """Bytes that a step, decoding, and the rest of a generation wait for, between host and GPU."""
    weights, passes = weights_of(case), passes_per_step(case.guidance)
    if case.offload == "none":
        return 0, 0, 0
    if case.offload == "model":
        # All weights, there and back. Of the last denoiser it is the way back that takes long, before decoding.
        others = weights.text_encoder_bytes + (weights.experts - 1) * weights.denoiser_bytes
        return 0, 2 * (weights.vae_bytes + weights.denoiser_bytes), 2 * others
    there_and_back = 2 if case.offload == "group" else 1
    streamed = case.offload == "group_stream"  # a step's weights come while it computes
    moved = (
        0 if streamed else passes * weights.denoiser_bytes,
        latent_frames(case.frames) * weights.vae_bytes,
        passes * weights.text_encoder_bytes,
    )
    return tuple(there_and_back * bytes_ for bytes_ in moved)


def _transfer(bytes_: float, case: Case, gpu: GpuFacts) -> Range:
    if not bytes_:
        return Range(0, 0, 0)
    typical = min(read_fit().transfer_gb_s[case.offload], gpu.pcie)
    return Range(bytes_ / max(gpu.pcie / 2, typical), bytes_ / typical, 1.5 * bytes_ / typical) * 1e-9


def prediction_text(predictions: Sequence[Prediction], gpu: GpuFacts, currency: str) -> str:
    """A table of all cases, and what its figures are."""
    rows = [["Case", "s/step", "Decoding (s)", "Official steps (s)", "Energy (kJ)", "GPU memory (GB)", "Fits"]]
    for each in predictions:
        energy_kj = each.energy_j and each.energy_j * 1e-3
        figures = [_text(figure) for figure in (each.step_s, each.decoding_s, each.total_s, energy_kj)]
        rows.append([each.case, *figures, _memory_text(each.memory_bytes), each.fits])
    if any(each.cost for each in predictions):
        costs = [f"Cost ({currency})", *(_text(each.cost) for each in predictions)]
        rows = [[*row[:5], cost, *row[5:]] for row, cost in zip(rows, costs)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    reasons = sorted({f"n/a: {each.why_none}." for each in predictions if each.why_none})
    rate = f"{gpu.bf16:g} TFLOP/s in bfloat16" if gpu.bf16 else "no stated bfloat16 rate"
    facts = f"{gpu.memory:g} GB, {gpu.bandwidth:g} GB/s, {gpu.power:g} W, {rate}"
    notes = [f"{gpu.name}: {facts} ({gpu.source}).", *reasons, _NOTES]
    return "\n".join([*lines, "", *(line for note in notes for line in textwrap.wrap(note, _WIDTH)), ""])


def _memory_text(bytes_: int | None) -> str:
    return "n/a" if bytes_ is None else f"{bytes_ / 1e9:.0f} to {MOST_USED * bytes_ / 1e9:.0f}"


def _text(figure: Range | None) -> str:
    if figure is None:
        return "n/a"
    return f"{_two_digits(figure.typical)} ({_two_digits(figure.low)} to {_two_digits(figure.high)})"


def _two_digits(value: float) -> str:
    """Two digits that count: the intervals support no more."""
    if value == 0:
        return "0"
    decimals = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"
