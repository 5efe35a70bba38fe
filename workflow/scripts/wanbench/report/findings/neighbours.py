"""Other cases of a report that differ from a case in one setting: what that setting did, as it was measured here."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wanbench.models import MODELS
from wanbench.report.comparisons import at_steps, warmth
from wanbench.report.findings.basis import known
from wanbench.report.findings.memory import shown_setting
from wanbench.report.numbers import fixed, gigabytes
from wanbench.trace.names import OK

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
)
_SETTINGS = ("offload", "compile", "cache", "attention", "dtype", "vae_dtype", "vae_tiling")
# Nearer to each other than this, two figures print as the same.
_ALIKE = 0.005


@dataclass(frozen=True)
class Neighbour:
    """A case that differs in one setting.

    Attributes:
        row: its row of the cases table.
        key: the setting that differs.
        value: what it has there, as a grid file has it.
    """

    row: pd.Series
    key: str
    value: str

    @property
    def setting(self) -> str:
        return f"{self.key}: {self.value}"


class Neighbourhood:
    """The cases of a report by what they have in common, so that each finds its neighbours without a look at all.

    Of cases that are alike in all of that, in their steps and in their warmth, the fastest stands for the others.
    """

    def __init__(self, cases: Iterable[pd.Series]) -> None:
        """Takes rows of the cases table."""
        self._values: dict[str, tuple[str, ...]] = {}
        self._alike: dict[tuple[Any, ...], dict[tuple[Any, ...], pd.Series]] = {}
        for case in cases:
            if _comparable(case):
                self._add(case)

    def of(self, case: pd.Series) -> list[Neighbour]:
        """The cases that made the same video on the same GPU and differ from `case` in exactly one setting.

        Only cases that passed their checks, of the real models; none if the case itself is not one. With random
        weights, a cache differs in nothing that would be true of real ones, so that such cases are no neighbours.
        """
        if case["case"] not in self._values:
            return []
        found: list[Neighbour] = []
        for key, value, place in self._places(case):
            if key == "cache" and case["weights"] == "random":
                continue
            others = self._alike[place].items()
            found += [Neighbour(row, key, other[0]) for other, row in others if other[0] != value]
        return found

    def _add(self, case: pd.Series) -> None:
        self._values[case["case"]] = tuple(_value(case, key) for key in _SETTINGS)
        for _, value, place in self._places(case):
            alike = self._alike.setdefault(place, {})
            kind = (value, int(case["steps"]), warmth(case))
            if kind not in alike or _time_s(case) < _time_s(alike[kind]):
                alike[kind] = case

    def _places(self, case: pd.Series) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
        """Each setting with its value, and what must be the same for cases to differ in it alone."""
        same = tuple(_plain(case[key]) for key in _SAME)
        values = self._values[case["case"]]
        for i, key in enumerate(_SETTINGS):
            yield key, values[i], (key, same, values[:i] + values[i + 1 :])


def _time_s(case: pd.Series) -> float:
    time_s = known(case["uncompiled_generation_s"])
    return math.inf if time_s is None else time_s


def _comparable(case: pd.Series) -> bool:
    return bool(
        case["status"] == OK
        and not case["faults"]
        and _plain(case["scale"]) != "tiny"
        and _plain(case["device"]) == "cuda"
    )


def _value(case: pd.Series, key: str) -> str:
    """A setting's value; a cache's threshold belongs to it."""
    value = shown_setting(key, _plain(case[key])).removeprefix(f"{key}: ")
    threshold = known(case["cache_threshold"])
    return f"{value}, cache_threshold: {threshold:g}" if key == "cache" and threshold is not None else value


def _plain(value: Any) -> Any:
    # pandas has booleans of its own.
    if pd.isna(value):
        return None
    return bool(value) if pd.api.types.is_bool(value) else value


def speed_ratio(case: pd.Series, neighbour: Neighbour, steps: int | None = None) -> float | None:
    """How many times faster the neighbour makes a video, at a number of steps (else the case's); above 1 is faster."""
    steps = steps or int(case["steps"])
    own_s, other_s = at_steps(case, steps).time_s, at_steps(neighbour.row, steps).time_s
    return own_s / other_s if own_s and other_s and other_s > 0 else None


def alike_warm(case: pd.Series, neighbour: Neighbour) -> bool:
    """Whether both generations are the first of their process, or both later ones."""
    return warmth(case) == warmth(neighbour.row)


def gain_text(case: pd.Series, neighbour: Neighbour) -> str:
    """What the neighbour's setting brings and costs, in figures: time, memory and energy of one generation."""
    return ", ".join([*_speed(case, neighbour), *_memory(case, neighbour), *_energy(case, neighbour)])


def _speed(case: pd.Series, neighbour: Neighbour) -> list[str]:
    texts = []
    ratio, steps, official = speed_ratio(case, neighbour), int(case["steps"]), MODELS[case["model"]].steps
    if ratio is not None:
        kind = "" if alike_warm(case, neighbour) else f", {warmth(neighbour.row)} against {warmth(case)}"
        texts.append(f"{_in_words(ratio)} per generation ({steps} steps{kind})")
        if official != steps and (full := speed_ratio(case, neighbour, official)) is not None:
            texts[-1] += f" and {_in_words(full)} at the official {official} steps"
    own_s, other_s = known(case["step_s"]), known(neighbour.row["step_s"])
    if own_s and other_s and abs(own_s / other_s - 1) >= _ALIKE:
        texts.append(f"{fixed(other_s)} s/step instead of {fixed(own_s)}")
    compile_s = known(neighbour.row["compilation_s"])
    if neighbour.key == "compile" and compile_s:
        texts.append(f"after {fixed(compile_s)} s of compilation once for each process")
    return texts


def _in_words(ratio: float) -> str:
    if abs(ratio - 1) < _ALIKE:
        return "as fast"
    return f"{ratio:.2f}x faster" if ratio > 1 else f"{1 / ratio:.2f}x slower"


def _memory(case: pd.Series, neighbour: Neighbour) -> list[str]:
    own, other = known(case["gpu_mem_allocated_bytes"]), known(neighbour.row["gpu_mem_allocated_bytes"])
    if own is None or other is None:
        return []
    if abs(other - own) < _ALIKE * own:
        return ["the same memory"]
    return [f"{gigabytes(abs(other - own))} GB {'more' if other > own else 'less'}"]


def _energy(case: pd.Series, neighbour: Neighbour) -> list[str]:
    steps = int(case["steps"])
    own_j, other_j = at_steps(case, steps).energy_j, at_steps(neighbour.row, steps).energy_j
    if not own_j or not other_j:
        return []
    change_pct = 100 * (other_j / own_j - 1)
    if abs(change_pct) < 1:
        return ["the same energy"]
    return [f"{abs(change_pct):.0f} % {'more' if change_pct > 0 else 'less'} energy"]
