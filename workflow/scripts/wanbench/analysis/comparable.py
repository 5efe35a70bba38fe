"""What the report's comparisons rest on: which cases compare, and one generation at a given number of steps."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.registry import settings
from wanbench.registry.stages import OK, OOM

WARM, COLD = "warm", "cold"
# Columns of the cases table with the time and the energy of a generation.
_KEYS = {
    WARM: ("generation_excl_compilation_s", "generation_energy_j"),
    COLD: ("cold_generation_s", "cold_generation_energy_j"),
}


@dataclass(frozen=True)
class AtSteps:
    """One generation, without model initialisation and compilation, at a number of steps.

    Attributes:
        time_s, energy_j: None where it, or a step to add to it, was not measured.
        scaled: the case ran another number of steps; its typical step (s/step) stands for those that differ.
    """

    time_s: float | None
    energy_j: float | None
    scaled: bool


def at_steps(case: CaseRow, steps: int, kind: str | None = None) -> AtSteps:
    """A generation of a case (a row of the cases table) as if it had run `steps` steps.

    Args:
        kind: WARM or COLD, one that the case has; else that which its figures are of.
    """
    more = steps - int(case["steps"])
    time_key, energy_key = _KEYS[kind or warmth(case)]
    return AtSteps(
        _with_more(case[time_key], case["step_s"], more),
        _with_more(case[energy_key], case["step_energy_j"], more),
        more != 0,
    )


def _with_more(generation: float, step: float, more: int) -> float | None:
    if pd.isna(generation) or (more and pd.isna(step)):
        return None
    return float(generation + more * step) if more else float(generation)


def is_of_one_step(case: CaseRow) -> bool:
    """Whether s/step of a case is the time of a single step."""
    return bool(case["typical_steps"] == 1)


def comparable(cases: pd.DataFrame) -> list[CaseRow]:
    """Cases that ran to their end, of the real models and not on the CPU, and whose times say something of those."""
    return _of_real_use(cases[(cases["status"] == OK) & (cases["device"].fillna("") != "cpu")])


def is_cache_at_random(case: CaseRow) -> bool:
    """Whether a cache had random weights: how often it serves, and so all times, would not be true of real ones."""
    return bool(case["cache"] != "none" and case["weights"] == "random")


def did_not_fit(cases: pd.DataFrame) -> list[CaseRow]:
    """Cases of the real models that ran out of the memory of a GPU that they had for themselves."""
    alone = cases["other_processes"].fillna(0) == 0
    return _of_real_use(cases[(cases["status"] == OOM) & alone & cases["gpu_name"].notna()])


def _of_real_use(cases: pd.DataFrame) -> list[CaseRow]:
    # A checkpoint has no scale: it brings its own size.
    real = case_rows(cases[cases["scale"].fillna("") != "tiny"])
    return [case for case in real if not is_cache_at_random(case)]


def warmth(case: CaseRow) -> str:
    """Whether a case's figures are of later generations of its process, or of the first for want of those."""
    return COLD if pd.isna(case["generation_s"]) else WARM


def has_kind(case: CaseRow, kind: str) -> bool:
    """Whether a case has a generation of a kind; one that is contaminated is none."""
    return bool(pd.notna(case["generation_s" if kind == WARM else "cold_generation_s"]))


def host_mem_bytes(case: CaseRow) -> float | None:
    """Highest memory of a case on the host, in bytes; None where it was not measured.

    It is what its processes held, added up, or what the whole machine had in use where that is less: the sum counts a
    page that several of them share for each.
    """
    known = [case[key] for key in ("process_mem_bytes", "sys_mem_bytes") if pd.notna(case[key])]
    return min(known) if pd.notna(case["process_mem_bytes"]) else None


def is_lossy(case: CaseRow) -> bool:
    """Whether a setting changes the arithmetic of the video that comes out."""
    return settings.is_lossy(case)


def shown_setting(key: str, value: Any) -> str:
    """A setting as a grid file has it."""
    return f"{key}: {str(value).lower() if isinstance(value, bool) else value}"


def known(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
