"""What a case could be set to instead: only what a grid file may say, with the memory that it should need."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import shown_setting
from wanbench.analysis.numbers import gigabytes
from wanbench.cases.case import Case
from wanbench.cases.several_gpus import PARALLEL_OFFLOAD
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.findings.basis import Context

LOWER_PRECISION = "lossy: lower precision of the VAE"
_BLENDED = "lossy: blends the borders of tiles"

# Hooks on every layer break compiled blocks into pieces, so that no case may have both.
_COMPILES_WITH = ("none", "model")


@dataclass(frozen=True)
class Option:
    """Settings that a case could have instead of its own.

    Attributes:
        settings: what to set together, as a grid file has it.
        price: what it costs beside time, in words.
        peak_bytes: estimated GPU memory with them; None where there is no estimate.
    """

    settings: tuple[str, ...]
    price: tuple[str, ...]
    peak_bytes: int | None

    @property
    def lossy(self) -> bool:
        return LOWER_PRECISION in self.price or _BLENDED in self.price

    @property
    def words(self) -> str:
        notes = [] if self.peak_bytes is None else [f"about {gigabytes(self.peak_bytes)} GB"]
        notes += self.price
        listed = " and ".join(f"`{setting}`" for setting in self.settings)
        return f"{listed} ({'; '.join(notes)})" if notes else listed


def option(context: Context, **wanted: Any) -> Option | None:
    """Settings with all that must change beside them; None where the case has them already or may not have them."""
    case = case_of(context.case)
    if case.gpus > 1 and wanted.get("offload", "none") not in PARALLEL_OFFLOAD:
        return None
    changes = {key: value for key, value in wanted.items() if getattr(case, key) != value}
    # One data type of 16 bit saves as much as the other.
    if changes.get("vae_dtype") == "bfloat16" and case.vae_dtype == "float16":
        del changes["vae_dtype"]
    if not changes:
        return None
    if replace(case, **changes).offload not in _COMPILES_WITH:
        if changes.get("compile", "none") != "none":
            return None
        if case.compile != "none":
            changes["compile"] = "none"
    changed = replace(case, **changes)
    settings = tuple(shown_setting(key, value) for key, value in changes.items())
    return Option(settings, tuple(_price(context, changed, changes)), estimated_peak_bytes(changed))


def _price(context: Context, changed: Case, changes: dict[str, Any]) -> list[str]:
    price = []
    if changes.get("vae_dtype") == "bfloat16":
        price.append(LOWER_PRECISION)
    if changes.get("vae_tiling"):
        price.append(_BLENDED)
    if "offload" in changes and changed.offload != "none":
        total_bytes = context.number("sys_mem_total_bytes")
        of_total = "" if total_bytes is None else f" of {gigabytes(total_bytes)}"
        how = "are pinned" if changed.offload == "group_stream" else "wait"
        needed = gigabytes(estimated_host_bytes(changed))
        price.append(f"weights {how} in the machine's own memory, up to {needed}{of_total} GB")
    if changes.get("compile") == "none":
        price.append("costs the speed of compilation")
    return price


def fits(context: Context, peak_bytes: float | None) -> bool | None:
    """Whether an estimated peak leaves the margin that this GPU's memory needs; None where it cannot be said."""
    total_bytes = context.number("gpu_mem_total_bytes")
    if peak_bytes is None or total_bytes is None:
        return None
    return bool(peak_bytes <= context.thresholds.full_gpu_memory_pct / 100 * total_bytes)


def can_compile(case: CaseRow) -> bool:
    """Whether compiling is advice that a case could follow: it does not yet, and its offload allows it."""
    return bool(case["compile"] == "none" and case["offload"] in _COMPILES_WITH)


def can_cache(case: CaseRow) -> bool:
    """Whether a cache is advice that a case could follow."""
    return bool(case["cache"] == "none" and case["gpus"] == 1)


def case_of(row: CaseRow) -> Case:
    """The case of a row of the cases table, as far as the memory estimate looks at it."""
    values = {key: row[key] if key in row and pd.notna(row[key]) else None for key in Case.__dataclass_fields__}
    return Case(**values | {"guidance": tuple(float(scale) for scale in row["guidance"].split(" / "))})


def alternatives(*settings: str) -> tuple[tuple[str, ...], ...]:
    """Each of the settings alone, as `Finding.advised` takes them."""
    return tuple((setting,) for setting in settings)
