"""What `snakemake predict` prints."""

import math
import textwrap
from collections.abc import Sequence

from wanbench.estimate.gpu_facts import GpuFacts
from wanbench.estimate.prediction import MOST_USED, Prediction, Range

_WIDTH = 118
_NOTES = (
    "A generation at the model's official steps: text encoding, steps, decoding, and with offload the transfer of "
    "weights, whose rate the host decides. Nine of ten published figures of GPUs that the model was not fitted on lie "
    "within the interval of time computed (docs/prediction.md). Memory is what torch allocates, and twice as "
    "much, which cases used where it was free. Fits: yes with it, may without it; time: where it fits. "
    "It cannot know another pipeline or other versions, a small case's cooling, or what lossy settings (a cache, 8-bit "
    "products, tiling) do."
)


def prediction_text(predictions: Sequence[Prediction], gpu: GpuFacts, currency: str) -> str:
    """A table of all cases, and what its figures are."""
    headings = ["Case", "s/step", "Decoding (s)", "Total (s)", "Energy (kJ)", "GPU memory (GB)", "Fits"]
    priced = any(each.cost for each in predictions)
    rows = [[*headings[:5], f"Cost ({currency})", *headings[5:]] if priced else headings]
    for each in predictions:
        figures = [_text(figure) for figure in (each.step_s, each.decoding_s, each.total_s)]
        figures.append(_text(each.energy_j and each.energy_j.scaled(1e-3, 1e-3, 1e-3)))
        figures += [_text(each.cost)] if priced else []
        rows.append([each.case, *figures, _memory_text(each.memory_bytes), each.fits])
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
