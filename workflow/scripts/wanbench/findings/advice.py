"""What a case could be set to instead: only what a grid file may say, with the memory that it should need."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from wanbench.cases.checks import NEEDS
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.findings.basis import Context
from wanbench.registry.settings import SETTINGS

# Each list in the order of its price. What changes the video comes after all that does not; transfers cost time in each
# generation, compiling once for each process.
_LOSSY = ({}, {"vae_dtype": "bfloat16"}, {"vae_tiling": True}, {"vae_dtype": "bfloat16", "vae_tiling": True})
_OFFLOADED = ({}, {"offload": "model"}, {"offload": "group_stream"})
_COMPILED = ({}, {"compile": "repeated_blocks"})
_COMPILES_WITH = NEEDS["compile"]["offload"]


@dataclass(frozen=True)
class Option:
    """Settings that a case could have instead of its own, as a grid file has them, with the memory estimated for them.

    `host_bytes` is the most that they put into the host's memory; None where they put nothing there.
    """

    settings: list[str]
    lossy: bool
    peak_bytes: int
    host_bytes: int | None


@dataclass(frozen=True)
class Resident:
    """Whether all weights fit the GPU together; else ways to make them fit, the cheapest first.

    `peak_bytes` is the estimated GPU memory without offload. None: there is no estimate, and it cannot be said.
    """

    peak_bytes: int | None
    fits: bool | None
    ways: tuple[Option, ...] = ()

    @property
    def advised(self) -> list[list[str]]:
        return [["offload: none"]] if self.fits is not False else [way.settings for way in self.ways]


def option(context: Context, **wanted: Any) -> Option | None:
    """Settings with all that must change beside them; None where the case has them or may not, or of no estimate."""
    case = context.as_case
    changes = {key: value for key, value in wanted.items() if getattr(case, key) != value}
    # One data type of 16 bit saves as much as the other.
    if changes.get("vae_dtype") == "bfloat16" and case.vae_dtype == "float16":
        del changes["vae_dtype"]
    if not changes or (case.gpus > 1 and changes.get("offload", "none") not in NEEDS["gpus"]["offload"]):
        return None
    if replace(case, **changes).offload not in _COMPILES_WITH:
        if changes.get("compile", "none") != "none":
            return None
        if case.compile != "none":
            changes["compile"] = "none"
    changed = replace(case, **changes)
    if (peak_bytes := estimated_peak_bytes(changed)) is None:
        return None
    return Option(
        settings=[
            f"{key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in changes.items()
        ],
        lossy=any(SETTINGS[key].is_lossy(value) for key, value in changes.items()),
        peak_bytes=peak_bytes,
        host_bytes=estimated_host_bytes(changed) if changes.get("offload", "none") != "none" else None,
    )


def that_fit(context: Context) -> list[Option]:
    """The cheapest options with which the case should fit this GPU: with its offload as it is, and with another.

    Each must need less than the case by more than equal cases differ.
    """
    own_bytes, first = estimated_peak_bytes(context.as_case), {}
    if own_bytes is None:
        return []
    most_bytes = (1 - context.thresholds.no_effect_memory_pct / 100) * own_bytes
    for found in _options(context, _OFFLOADED):
        if found.peak_bytes < most_bytes and fits(context, found.peak_bytes):
            first.setdefault(any(setting.startswith("offload: ") for setting in found.settings), found)
    if len(first) == 2 and set(first[False].settings) <= set(first[True].settings):
        del first[True]
    return [first[offloaded] for offloaded in sorted(first)]


def without_offload(context: Context) -> Resident:
    needed_bytes = estimated_peak_bytes(replace(context.as_case, offload="none"))
    holds = fits(context, needed_bytes)
    if holds is not False:
        return Resident(needed_bytes, holds)
    ways: list[Option] = []
    for way in _options(context, [{"offload": "none"}]):
        if fits(context, way.peak_bytes) and not any(set(kept.settings) <= set(way.settings) for kept in ways):
            ways.append(way)
    # Nobody gives up precision where there is a way without.
    return Resident(needed_bytes, holds, tuple(ways[:1] if ways and not ways[0].lossy else ways[:2]))


def _options(context: Context, offloads: Iterable[dict[str, str]]) -> list[Option]:
    combinations = (offload | compiled | lossy for lossy, offload, compiled in product(_LOSSY, offloads, _COMPILED))
    options = (option(context, **changes) for changes in combinations)
    # Several come to the same where the case has a part of them.
    return list({tuple(found.settings): found for found in options if found is not None}.values())


def fits(context: Context, peak_bytes: float | None) -> bool | None:
    """Whether an estimated peak leaves the margin that this GPU's memory needs; None where it cannot be said."""
    total_bytes = context.number("gpu_mem_total_bytes")
    if peak_bytes is None or total_bytes is None:
        return None
    return bool(peak_bytes <= context.thresholds.full_gpu_memory_pct / 100 * total_bytes)
