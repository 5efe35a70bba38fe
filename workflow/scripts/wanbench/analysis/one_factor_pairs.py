"""Other cases of a report that differ from a case in one setting, and maybe in the GPU and in the number of steps."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import (
    COLD,
    WARM,
    at_steps,
    has_kind,
    is_cache_at_random,
    kinds_compared,
    known,
    shown_setting,
    warmth,
)
from wanbench.registry.stages import OK

# What must be the same for times to compare; steps may differ, since figures are brought to the same number.
_SAME = (
    "model",
    "task",
    "size",
    "frames",
    "guidance",
    "shift",
    "weights",
    "scale",
    "checkpoint",
    "revision",
    "gpu_name",
    "gpu_power_limit_w",
    "gpu_driver",
    "packages",
)
SETTINGS = ("offload", "compile", "cache", "attention", "dtype", "vae_dtype", "vae_tiling", "gpus")


@dataclass(frozen=True)
class Neighbour:
    """A case that differs in one setting.

    Attributes:
        row: its row of the cases table.
        key: the setting that differs.
        value: what it has there, as a grid file has it.
        same_gpu: it ran on the very same GPU, and not on another one of the same name (and maybe another machine).
        same_steps: it ran as many steps.
    """

    row: CaseRow
    key: str
    value: str
    same_gpu: bool
    same_steps: bool

    @property
    def setting(self) -> str:
        return f"{self.key}: {self.value}"


@dataclass
class _Alike:
    """Cases that are alike in all but the steps: the fastest of each number, and that of the most steps.

    They have generations of the same kinds, so that the same kind is compared of all.
    """

    by_steps: dict[int, CaseRow] = field(default_factory=dict)
    most_steps: int = 0

    def add(self, case: CaseRow) -> None:
        steps = int(case["steps"])
        self.most_steps = max(self.most_steps, steps)
        if steps not in self.by_steps or _time_s(case) < _time_s(self.by_steps[steps]):
            self.by_steps[steps] = case

    def nearest(self, steps: int) -> CaseRow:
        # Of those that must be scaled, the one with the most steps is the best evidence.
        return self.by_steps.get(steps, self.by_steps[self.most_steps])


class Neighbourhood:
    """The cases of a report by what they have in common, so that each finds its neighbours without a look at all."""

    def __init__(self, cases: Iterable[CaseRow]) -> None:
        """Takes rows of the cases table."""
        self._values: dict[str, tuple[str, ...]] = {}
        # By what must be the same, by the value of the setting that differs, by GPU and kinds of generations.
        self._places: dict[tuple[Any, ...], dict[str, dict[tuple[Any, ...], _Alike]]] = {}
        for case in cases:
            if _comparable(case):
                self._add(case)

    def of(self, case: CaseRow) -> list[Neighbour]:
        """For each other value of each setting, the nearest case that differs from `case` in it.

        The same GPU is nearest, then one with a generation of the same kind (a warm one first, if this has one), then
        the same number of steps, then the greatest number, then the fastest. Only cases that passed their checks, of
        the real models and none with a cache at random weights, on a GPU of the same name with the same software; none
        if the case itself is not one.
        """
        if case["case"] not in self._values:
            return []
        found: list[Neighbour] = []
        for key, value, place in self._places_of(case):
            found += [
                _nearest(case, key, other, kinds) for other, kinds in self._places[place].items() if other != value
            ]
        return found

    def _add(self, case: CaseRow) -> None:
        self._values[case["case"]] = tuple(_value(case, key) for key in SETTINGS)
        for _, value, place in self._places_of(case):
            kinds = self._places.setdefault(place, {}).setdefault(value, {})
            alike = (_plain(case["gpu_uuid"]), has_kind(case, WARM), has_kind(case, COLD))
            kinds.setdefault(alike, _Alike()).add(case)

    def _places_of(self, case: CaseRow) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
        """Each setting with its value, and what must be the same for cases to differ in it alone."""
        same = tuple(_plain(case[key]) for key in _SAME)
        values = self._values[case["case"]]
        for i, key in enumerate(SETTINGS):
            yield key, values[i], (key, same, values[:i] + values[i + 1 :])


def _nearest(case: CaseRow, key: str, value: str, kinds: dict[tuple[Any, ...], _Alike]) -> Neighbour:
    steps, gpu = int(case["steps"]), _plain(case["gpu_uuid"])

    def distance(row: CaseRow) -> tuple[Any, ...]:
        other_gpu, other_steps = _plain(row["gpu_uuid"]) != gpu, int(row["steps"])
        own_kind, kind = kinds_compared(case, row)
        unlike = 2 if kind != own_kind else int(kind != warmth(case))
        return other_gpu, unlike, other_steps != steps, -other_steps, _time_s(row, kind)

    row = min((alike.nearest(steps) for alike in kinds.values()), key=distance)
    # A GPU that was not identified may be any.
    same_gpu = gpu is not None and _plain(row["gpu_uuid"]) == gpu
    return Neighbour(row, key, value, same_gpu, int(row["steps"]) == steps)


def alike_warm(case: CaseRow, other: CaseRow) -> bool:
    """Whether the generations that are compared are both the first of their process, or both later ones."""
    own, others = kinds_compared(case, other)
    return own == others


def _time_s(case: CaseRow, kind: str | None = None) -> float:
    time_s = at_steps(case, int(case["steps"]), kind).time_s
    return math.inf if time_s is None else time_s


def _comparable(case: CaseRow) -> bool:
    return bool(
        case["status"] == OK
        and not case["failed_checks"]
        and not is_cache_at_random(case)
        and _plain(case["scale"]) != "tiny"
        and _plain(case["device"]) == "cuda"
    )


def _value(case: CaseRow, key: str) -> str:
    """A setting's value; a cache's threshold belongs to it."""
    value = shown_setting(key, _plain(case[key])).removeprefix(f"{key}: ")
    threshold = known(case["cache_threshold"])
    return f"{value}, cache_threshold: {threshold:g}" if key == "cache" and threshold is not None else value


def _plain(value: Any) -> Any:
    # pandas has booleans of its own.
    if pd.isna(value):
        return None
    return bool(value) if pd.api.types.is_bool(value) else value
