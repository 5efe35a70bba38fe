"""Other cases of a report that show what this one could do: that fit where it does not, that ran its steps eagerly."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import at_steps, is_cache_at_random, shown_setting
from wanbench.analysis.one_factor_pairs import SETTINGS
from wanbench.models.facts import MODELS
from wanbench.registry.stages import OK

_VIDEO_ON_GPU = ("model", "task", "size", "frames", "gpu_name", "gpu_mem_total_bytes")
# What the time of a step depends on; offloading whole models does not change it.
_STEP = (
    *_VIDEO_ON_GPU,
    "guidance",
    "weights",
    "gpu_power_limit_w",
    "gpu_driver",
    "packages",
    "attention",
    "dtype",
    "cache",
    "cache_threshold",
    "gpus",
)


@dataclass(frozen=True)
class Peers:
    """What the report holds beside a case, of the same video on a GPU of the same name and memory.

    Attributes:
        fitting: the fastest that ran to its end.
        eager: one whose steps differ in nothing but that they are not compiled, whether or not it ended well.
    """

    fitting: CaseRow | None = None
    eager: CaseRow | None = None


class PeerIndex:
    """The cases of a report, so that each finds its peers without a look at all."""

    def __init__(self, cases: Iterable[CaseRow]) -> None:
        """Takes rows of the cases table."""
        self._fitting: dict[tuple[Any, ...], CaseRow] = {}
        self._eager: dict[tuple[Any, ...], CaseRow] = {}
        for case in cases:
            if not _at_full_scale(case) or is_cache_at_random(case):
                continue
            if case["status"] == OK:
                place = _values(case, _VIDEO_ON_GPU)
                if place not in self._fitting or _time_s(case) < _time_s(self._fitting[place]):
                    self._fitting[place] = case
            if _is_eager(case):
                place = _values(case, _STEP)
                if place not in self._eager or case["steps_done"] > self._eager[place]["steps_done"]:
                    self._eager[place] = case

    def of(self, case: CaseRow) -> Peers:
        if not _at_full_scale(case):
            return Peers()
        return Peers(self._fitting.get(_values(case, _VIDEO_ON_GPU)), self._eager.get(_values(case, _STEP)))


def differing_settings(case: CaseRow, other: CaseRow) -> list[str]:
    """The settings of another case that this one has not, as a grid file has them."""
    return [
        shown_setting(key, other[key])
        for key in SETTINGS
        if shown_setting(key, other[key]) != shown_setting(key, case[key])
    ]


def _at_full_scale(case: CaseRow) -> bool:
    return not pd.isna(case["device"]) and case["device"] == "cuda" and _values(case, ("scale",)) != ("tiny",)


def _is_eager(case: CaseRow) -> bool:
    moves_whole_models = case["offload"] in ("none", "model")
    return bool(
        case["compile"] == "none" and moves_whole_models and not case["failed_checks"] and pd.notna(case["step_s"])
    )


def _time_s(case: CaseRow) -> float:
    time_s = at_steps(case, MODELS[case["model"]].steps).time_s
    return math.inf if time_s is None else time_s


def _values(case: CaseRow, keys: Iterable[str]) -> tuple[Any, ...]:
    return tuple(None if pd.isna(case[key]) else case[key] for key in keys)
