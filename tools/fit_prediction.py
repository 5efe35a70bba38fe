"""Fit the numbers of `predict`, hold them against GPUs that they were not fitted on, and write both down.

    python tools/fit_prediction.py

writes workflow/scripts/wanbench/estimate/prediction.yaml and docs/prediction.md.
"""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from scipy.optimize import minimize

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "workflow/scripts"), str(ROOT / "tools")]

from prediction_figures import Figure, kept, published, transfer_gb_s  # noqa: E402

from wanbench.models.facts import MODELS  # noqa: E402

NUMBERS_FILE = ROOT / "workflow/scripts/wanbench/estimate/prediction.yaml"
PAGE = ROOT / "docs/prediction.md"
# GPUs of one chip.
RELATED = ({"H100 SXM", "H200", "H20"}, {"RTX 4090", "RTX 4090 D", "L20"})
# Where the fit of NUMBERS begins; what no figure decides stays there. Shares of a rate, tensors a layer, bytes an
# operation.
BEGIN = (0.8, 0.1, 0.8, 0.8, 0.8, 0.8, 0.3, 200.0, 100.0, 50.0, 300.0, 0.5, 0.005, 0.03)
# A number that is off by a factor of e counts as much as a figure that is off by a tenth, which is far.
PULL = FAR = 0.1


def fitted(figures: Sequence[Figure]) -> dict[str, float]:
    """The numbers at which the logarithms of predicted over known are least, each GPU's figures weighing as much as
    another's, and each by Huber's loss (1964), in which one that is far off counts less.
    """
    counts = Counter(figure.gpu.name for figure in figures)
    weights = np.array([1 / counts[figure.gpu.name] for figure in figures])
    begin = np.log(BEGIN)

    def loss(logs: np.ndarray) -> float:
        numbers = _numbers(logs)
        far = np.abs([math.log(figure.predicted_s(numbers) / figure.seconds) for figure in figures])
        huber = np.where(far < FAR, far**2, 2 * FAR * far - FAR**2)
        return float(weights @ huber + PULL**2 * np.sum((logs - begin) ** 2))

    # The model has kinks, at which a method for smooth losses stops early, each time elsewhere: Powell's goes on.
    bounds, logs = [(log - 2, log + 2) for log in begin], begin
    for method, options in 2 * [("SLSQP", {"ftol": 1e-12, "maxiter": 1000}), ("Powell", {"ftol": 1e-9, "xtol": 1e-6})]:
        logs = minimize(loss, logs, method=method, bounds=bounds, options=options).x
    return {key: float(f"{value:.3g}") for key, value in _numbers(logs).items()}


def _numbers(logs: np.ndarray) -> dict[str, float]:
    return dict(zip(NUMBERS, map(float, np.exp(logs))))


@cache
def fitted_without(gpus: frozenset[str]) -> dict[str, float]:
    return fitted([figure for figure in published() + kept() if figure.gpu.name not in gpus])


@dataclass(frozen=True)
class Held:
    """A published figure beside what is predicted without any figure of its GPU."""

    figure: Figure
    predicted_s: float
    factor: float

    @property
    def error(self) -> float:
        return self.predicted_s / self.figure.seconds - 1

    @property
    def inside(self) -> bool:
        return abs(math.log(self.predicted_s / self.figure.seconds)) <= math.log(self.factor)


@cache
def leave_one_out(together: bool = False) -> tuple[list[Held], list[Held]]:
    """Published figures, and kept ones, each predicted by numbers fitted without any figure of its GPU.

    The interval of a GPU's figures is that of the errors of the other GPUs' published figures.

    Args:
        together: without any figure of a GPU of the same chip, either.
    """
    figures, own = published(), kept()
    predicted = {}
    for gpu in dict.fromkeys(figure.gpu.name for figure in figures):
        out = {gpu}.union(*(chip for chip in RELATED if together and gpu in chip))
        numbers = fitted_without(frozenset(out))
        predicted |= {id(each): each.predicted_s(numbers) for each in figures + own if each.gpu.name == gpu}

    def held(figure: Figure) -> Held:
        others = [other for other in figures if other.gpu != figure.gpu]
        return Held(figure, predicted[id(figure)], _factor(others, predicted))

    return [held(figure) for figure in figures], [held(figure) for figure in own]


def _factor(figures: Sequence[Figure], predicted: dict[int, float]) -> float:
    """Nine of ten figures are within this factor of what is predicted."""
    errors = [abs(math.log(predicted[id(figure)] / figure.seconds)) for figure in figures]
    return float(f"{math.exp(np.quantile(errors, 0.9)):.3g}")


def time_factor() -> float:
    held, _ = leave_one_out()
    return _factor([each.figure for each in held], {id(each.figure): each.predicted_s for each in held})


# Why a figure may lie outside its interval; one without a reason here is unexplained.
REASONS = {
    ("H200", "SGLang-diffusion fork"): "a later figure of the same software (90.9 s in all) is inside: likely an older "
    "state of it",
    ("H200", "SGLang-diffusion (torch_sdpa)"): "likely without joined kernels: stock eager diffusers takes 134 s here",
    ("H200", "SGLang-diffusion resident"): "4 steps of 17 frames: most of it is the server's and the file's time",
    ("RTX 4090 D", "LightX2V"): "its attention may be 8 bit",
}
# GPU, size, and where a reader finds what is published of them.
THREE = (
    ("L20", "1280*704", "[optimum-habana PR 2231](https://github.com/huggingface/optimum-habana/pull/2231)"),
    ("A100 80GB", "1280*720", "[README of Wan2.2](https://github.com/Wan-Video/Wan2.2), assets/comp_effic.png"),
    (
        "B200",
        "1280*720",
        "[TensorRT-LLM](https://github.com/NVIDIA/TensorRT-LLM/blob/main/docs/source/blogs/tech_blog/"
        "blog25_Scaling_Video_Generation_Across_NVL72_Rack_with_TensorRT-LLM.md)",
    ),
)
NUMBERS = {
    "rate_share": "share of the datasheet's rate that products sustain, at 1e12 operations a second and watt",
    "rate_power": "how fast that share falls with operations a second and watt",
    "newest": "of that rate, what FlashAttention 3 and later reach",
    "cudnn": "of that rate, what cuDNN's attention reaches",
    "flash_2": "of that rate, what FlashAttention 2 reaches",
    "flash_2_older": "of the rate of the older instructions, what FlashAttention 2 reaches",
    "efficient": "of that rate, what torch's memory-efficient attention reaches",
    "eager": "tensors of tokens x width read or written in a layer: eager diffusers",
    "per_token": "the same, on top of eager, where each token has a timestep",
    "compiled": "the same: compiled blocks, or software that joins kernels",
    "official": "the same: Wan's own code",
    "convolution": "share of the datasheet's rate that the VAE's convolutions reach",
    "vae_bytes_5b": "bytes that TI2V-5B's VAE reads and writes for each operation",
    "vae_bytes_a14b": "bytes that A14B's VAE reads and writes for each operation",
}


def prediction_yaml() -> str:
    lines = [
        "# Numbers of `predict`, made by tools/fit_prediction.py from kept cases (results/reference) and published",
        "# figures: do not edit. What they mean is in stage_times.py.",
        "numbers:",
    ]
    lines += [f"  {key}: {value:g} # {NUMBERS[key]}" for key, value in fitted_without(frozenset()).items()]
    lines += [
        "# Nine of ten published figures lie within this factor of what is predicted without any figure of their GPU.",
        f"time_factor: {time_factor():g}",
        "# 1e9 bytes a second, by the way of offload: medians of kept cases, which depend on the host.",
        f"transfer_gb_s: {{{', '.join(f'{key}: {value:g}' for key, value in sorted(transfer_gb_s().items()))}}}",
        "# Of the power limit. H100 and H200 took 0.96 to 1.00 in the steps of kept cases; of whole published runs an",
        "# H100 0.89, a B200 0.92 (ML.ENERGY). Low is a guess, for GPUs that their clock limits before their power.",
        "power_share: [0.6, 0.95, 1.0]",
        "# The same while weights are transferred: 0.18 in decoding with offload: model, of kept cases.",
        "transfer_power_share: 0.18",
    ]
    return "\n".join(lines) + "\n"


def page() -> str:
    held, own = leave_one_out()
    text = (ROOT / "tools/prediction_page.md").read_text("utf-8")
    related, _ = leave_one_out(together=True)
    summary = {"published": _summary(held), "related": _summary(related), "own": _summary(own)}
    rows_of_three = [
        _row_to_check(
            next(each for each in held if (each.figure.gpu.name, each.figure.case.size) == (gpu, size)), where
        )
        for gpu, size, where in THREE
    ]
    return text.format(
        **summary, three="\n".join(rows_of_three), rows="\n".join(map(_row, held)), outside="\n".join(_outside(held))
    )


def _summary(held: Sequence[Held]) -> str:
    errors = [abs(each.error) for each in held]
    inside = sum(each.inside for each in held)
    share = 100 * inside / len(held)
    return f"{100 * median(errors):.0f} % | {100 * max(errors):.0f} % | {inside} of {len(held)} ({share:.0f} %)"


def _row_to_check(held: Held, where: str) -> str:
    figure = held.figure
    cells = (figure.gpu.name, _what(figure), figure.software, figure.what, f"{figure.seconds:.4g}")
    return f"| {' | '.join(cells)} | {held.predicted_s:.4g} | {100 * held.error:+.0f} % | {where} |"


def _what(figure: Figure) -> str:
    case = figure.case
    unusual = figure.what == "total" and case.steps != MODELS[case.model].steps
    steps = f", {case.steps} steps" if unusual else ""
    return f"{case.model} {case.task} {case.size.replace('*', 'x')} x {case.frames}{steps}"


def _row(held: Held) -> str:
    figure = held.figure
    times = (figure.seconds, held.predicted_s, held.predicted_s / held.factor, held.predicted_s * held.factor)
    seconds, predicted, low, high = (f"{value:.2f}" if value < 20 else f"{value:.0f}" for value in times)
    way = f"{figure.way.software}, {figure.way.attention}"
    cells = (figure.gpu.name, _what(figure), figure.software, way, figure.what, seconds, predicted, f"{low} to {high}")
    return f"| {' | '.join(cells)} | {100 * held.error:+.0f} % | {'yes' if held.inside else 'no'} | {figure.source} |"


def _outside(held: Sequence[Held]) -> list[str]:
    reasons = {}
    for each in held:
        if not each.inside:
            key = (each.figure.gpu.name, each.figure.software)
            reasons[key] = REASONS.get(key, "unexplained")
    return [f"- {gpu}, {software}: {reason}." for (gpu, software), reason in reasons.items()]


if __name__ == "__main__":
    NUMBERS_FILE.write_text(prediction_yaml(), "utf-8")
    PAGE.write_text(page(), "utf-8")
