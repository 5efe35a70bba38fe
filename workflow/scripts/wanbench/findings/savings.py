"""Settings with which a case would need less memory, or could keep all its weights on the GPU."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from wanbench.analysis.numbers import gigabytes
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import Option, alternatives, case_of, fits, option
from wanbench.findings.basis import Context

_Changes = dict[str, Any]
_NOTHING: _Changes = {}
# Each list in the order of its price. What changes the video comes after all that does not; weights that move cost time
# in each generation, compiling once for each process.
_LOSSY: tuple[_Changes, ...] = (
    _NOTHING,
    {"vae_dtype": "bfloat16"},
    {"vae_tiling": True},
    {"vae_dtype": "bfloat16", "vae_tiling": True},
)
_MOVING: tuple[_Changes, ...] = (_NOTHING, {"offload": "model"}, {"offload": "group_stream"})
_COMPILED: tuple[_Changes, ...] = (_NOTHING, {"compile": "repeated_blocks"})
_OFFLOAD = "offload: "


@dataclass(frozen=True)
class WithoutOffload:
    """Whether all weights can stay on the GPU.

    Attributes:
        words: that, and how, as a sentence without its end.
        advised: alternatives of what to set for it; none where nothing does.
    """

    words: str
    advised: tuple[tuple[str, ...], ...]


def savings(context: Context) -> list[Option]:
    """Options whose estimate is lower than the case's by more than equal cases differ, the cheapest first."""
    own_bytes = estimated_peak_bytes(case_of(context.case))
    if own_bytes is None:
        return []
    most_bytes = (1 - context.thresholds.no_effect_memory_pct / 100) * own_bytes
    combinations = (moving | compiled | lossy for lossy in _LOSSY for moving in _MOVING for compiled in _COMPILED)
    return [found for found in _options(context, combinations) if (found.peak_bytes or 0) < most_bytes]


def that_fit(context: Context) -> list[Option]:
    """The cheapest savings with which the case should fit this GPU: with its offload as it is, and with another."""
    fitting = [saving for saving in savings(context) if fits(context, saving.peak_bytes)]
    staying = next((saving for saving in fitting if not _transfers(saving)), None)
    moving = next((saving for saving in fitting if _transfers(saving)), None)
    if staying is not None and moving is not None and set(staying.settings) <= set(moving.settings):
        moving = None
    return [saving for saving in (staying, moving) if saving is not None]


def without_offload(context: Context) -> WithoutOffload:
    """Whether all weights fit the GPU together, and what makes them fit."""
    needed_bytes = estimated_peak_bytes(replace(case_of(context.case), offload="none"))
    holds, total_bytes = fits(context, needed_bytes), context.number("gpu_mem_total_bytes")
    if holds is None:
        return WithoutOffload("set `offload: none` if the GPU can hold the weights", alternatives("offload: none"))
    total = f"{gigabytes(total_bytes)} GB"
    needed = f"`offload: none` needs about {gigabytes(needed_bytes)} GB allocated"
    if holds:
        return WithoutOffload(f"{needed}, and this GPU has {total}: set it", alternatives("offload: none"))
    share_pct = 100 * needed_bytes / total_bytes
    too_much = (
        f"{needed}, too much for the {total} of this GPU"
        if share_pct > 100
        else f"{needed}, {share_pct:.0f} % of the {total} of this GPU and above `full_gpu_memory_pct`"
    )
    ways = _ways_to_stay(context)
    if not ways:
        return WithoutOffload(too_much, ())
    words = f"{too_much}. What should fit: {' or '.join(way.words for way in ways)}"
    return WithoutOffload(words, tuple(way.settings for way in ways))


def _ways_to_stay(context: Context) -> list[Option]:
    """The cheapest settings with which all weights should fit, and another way that contains nothing of use to it."""
    combinations = ({"offload": "none"} | compiled | lossy for lossy in _LOSSY for compiled in _COMPILED)
    ways: list[Option] = []
    for way in _options(context, combinations):
        if fits(context, way.peak_bytes) and not any(set(kept.settings) <= set(way.settings) for kept in ways):
            ways.append(way)
    # Nobody gives up precision where there is a way without.
    return ways[:1] if ways and not ways[0].lossy else ways[:2]


def _options(context: Context, combinations: Iterable[_Changes]) -> list[Option]:
    options = (option(context, **changes) for changes in combinations if changes)
    # Several come to the same where the case has a part of them.
    return list({found.settings: found for found in options if found is not None}.values())


def _transfers(saving: Option) -> bool:
    return any(setting.startswith(_OFFLOAD) for setting in saving.settings)
