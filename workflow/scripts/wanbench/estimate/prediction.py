"""What a case is likely to take on another GPU: time, memory, energy and cost, each with an interval.

Times are those of stage_times.py. With offload, weights are transferred at the rate of the kept cases, which their host
decided, or of PCIe where that is lower; the interval reaches from half of PCIe's rate to two thirds of the kept cases'.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wanbench.cases.case import Case
from wanbench.cases.yaml_file import read_yaml
from wanbench.estimate.gpu_facts import GpuFacts
from wanbench.estimate.memory import estimated_peak_bytes, weights_of
from wanbench.estimate.stage_times import Numbers, decoding_s, has_kernel, rest_s, step_s, way_of, work_of
from wanbench.models.facts import MODELS, latent_frames, passes_per_step

_FILE = Path(__file__).with_name("prediction.yaml")
# Memory that kept cases used, for what torch allocated, at most (1.93): part of it they could have done without.
MOST_USED = 2.0


@dataclass(frozen=True)
class Fit:
    """What prediction.yaml holds.

    Attributes:
        time_factor: by which a time that is computed may be off, either way.
        transfer_gb_s: 1e9 bytes a second, by the way of offload.
        power_share: of the power limit while a GPU computes: low, typical, high.
        transfer_power_share: while it waits for weights.
    """

    numbers: Numbers
    time_factor: float
    transfer_gb_s: dict[str, float]
    power_share: tuple[float, float, float]
    transfer_power_share: float


@dataclass(frozen=True)
class Range:
    """A figure and its interval."""

    low: float
    typical: float
    high: float

    def scaled(self, low: float, typical: float, high: float) -> "Range":
        return Range(self.low * low, self.typical * typical, self.high * high)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)


NOTHING = Range(0.0, 0.0, 0.0)


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
def read_fit() -> Fit:
    content = read_yaml(_FILE)
    return Fit(**content | {"numbers": Numbers(**content["numbers"]), "power_share": tuple(content["power_share"])})


def why_no_time(case: Case, gpu: GpuFacts) -> str | None:
    """Why a case's time is not predicted; None where it is."""
    if case.scale == "tiny":
        return "tiny scale"
    if None in (gpu.bf16, gpu.tf32, gpu.pcie):
        return "rates not stated by the vendor"
    if case.gpus > 1:
        return "several GPUs"
    if (
        case.dtype == "float32"
        or case.vae_tiling
        or {case.cache, case.quantization, case.layerwise_casting} != {"none"}
    ):
        return "settings without a model"
    return None if has_kernel(case) else f"attention {case.attention} without a model"


def predict(case: Case, gpu: GpuFacts, fit: Fit, prices: dict[str, float]) -> Prediction:
    """What one generation takes at the model's official steps, without loading and starting.

    Time and energy are those of a GPU on which it fits.

    Args:
        prices: gpu_hour and kwh, each where it is given, in one currency.
    """
    memory = estimated_peak_bytes(case)
    fits = "n/a" if memory is None else _fits(memory / (1e9 * gpu.memory))
    if reason := why_no_time(case, gpu):
        return Prediction(case.name, reason, memory_bytes=memory, fits=fits)
    way, steps = way_of(case, gpu), MODELS[case.model].steps
    work = work_of(case, way.per_token)
    times_s = [stage_s(work, way, gpu, fit.numbers) for stage_s in (step_s, decoding_s, rest_s)]
    computing_step, computing_vae, computing_rest = (
        Range(time_s / fit.time_factor, time_s, time_s * fit.time_factor) for time_s in times_s
    )
    moved_step, moved_vae, moved_rest = (_transfer(bytes_, case, gpu, fit) for bytes_ in moved_bytes(case))
    computing = computing_step.scaled(steps, steps, steps) + computing_vae + computing_rest
    moving = moved_step.scaled(steps, steps, steps) + moved_vae + moved_rest
    total = computing + moving
    watts = [share * gpu.power for share in fit.power_share]
    energy = computing.scaled(*watts) + moving.scaled(*[fit.transfer_power_share * gpu.power] * 3)
    hourly, kwh = prices.get("gpu_hour"), prices.get("kwh")
    cost = total.scaled(*[(hourly or 0) / 3600] * 3) + energy.scaled(*[(kwh or 0) / 3.6e6] * 3)
    figures = (computing_step + moved_step, computing_vae + moved_vae, total, energy)
    return Prediction(case.name, None, *figures, cost if hourly or kwh else None, memory, fits)


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


def _transfer(bytes_: float, case: Case, gpu: GpuFacts, fit: Fit) -> Range:
    if not bytes_:
        return NOTHING
    kept = fit.transfer_gb_s[case.offload]
    typical = min(kept, gpu.pcie)
    return Range(bytes_ / max(gpu.pcie / 2, typical), bytes_ / typical, 1.5 * bytes_ / typical).scaled(*[1e-9] * 3)
