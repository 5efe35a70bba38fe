"""Which settings to use: cases that made the same video on the same GPU, by time, memory and energy."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pandas as pd

from wanbench.models import MODELS
from wanbench.report.comparisons import (
    LOSSY_NOTE,
    at_steps,
    comparable,
    is_lossy,
    label,
    scaled_text,
    step_text,
    warmth,
)
from wanbench.report.gpus import gpu_letters, gpus_named
from wanbench.report.layout import table
from wanbench.report.numbers import NOT_MEASURED, fixed, gigabytes, plain

_SAME = ("model", "task", "size", "frames", "weights", "gpu_name")
_SETTINGS = (
    "offload",
    "compile",
    "cache",
    "cache_threshold",
    "attention",
    "dtype",
    "vae_dtype",
    "vae_tiling",
    "gpus",
    "steps",
    "guidance",
)
_LEAST_MEMORY = "least memory (allocated)"
_LEAST = {"fastest": "time_s", _LEAST_MEMORY: "peak_bytes", "least energy": "energy_j"}

_TEXT_COLUMNS = ("Case", "GPU", *(setting for setting in _SETTINGS if setting != "steps"), "Generation", "Best at")
_NOTE = (
    "Time and energy are of one generation without model initialisation and compilation (warm: after the first of the "
    "process; cold: the first, where it is the only one), at the model's official number of steps. (scaled): the case "
    "ran another number, and its median step stands for the difference; with a cache, whose steps are not alike, that "
    "is rough. A warm row and a cold one are not equal: the first generation of a process loads and chooses kernels in "
    "its first step, and a warm one does not. "
    "Allocated memory is what the tensors need at least; reserved and used contain what the allocator keeps cached and "
    "can give back when a smaller card runs out, so the need lies between. "
    "Rows within `alike_generation_pct` of `config/thresholds.yaml` share `fastest` and `least energy`. Pareto: no "
    "other settings are at least as good in both time and allocated memory, and better in one; peaks that differ by "
    "less than `no_effect_memory_pct` are the same memory. Cases whose check was not passed are not here, and GPUs of "
    "one name share a table, though they differ by some percent."
)


@dataclass(frozen=True)
class Choice:
    """A case as one of several ways to make the same video; None where something was not measured.

    Attributes:
        gpu: what the report calls the GPU where there are several; None for one that it could not identify.
        settings: by key of the grid file, as the report prints them.
        step_s: median as the report prints it.
        vae_computing_s: median of decoding without the weights that move in it.
        moving_weights_s: of one generation, as the case ran it.
        time_s: of one generation at the model's official steps.
        energy_j: of one generation at the model's official steps, for each second of its video.
        scaled: time and energy are not of as many steps as the case ran.
        warmth: of the generation.
        peak_bytes, reserved_bytes, used_bytes: highest GPU memory that torch had allocated and reserved, and that was
            used on the whole device.
    """

    label: str
    gpu: str | None
    lossy: bool
    settings: dict[str, str]
    step_s: str
    vae_computing_s: float | None
    moving_weights_s: float | None
    time_s: float | None
    energy_j: float | None
    scaled: bool
    warmth: str
    peak_bytes: float | None
    reserved_bytes: float | None
    used_bytes: float | None

    @property
    def way(self) -> dict[str, str]:
        """The settings without the steps, since all choices are held against each other at the same number."""
        return {key: value for key, value in self.settings.items() if key != "steps"}


def groups_of(cases: pd.DataFrame) -> dict[tuple[Any, ...], list[Choice]]:
    """Choices by what they made and on what, the fastest first; only where there is a choice.

    Args:
        cases: the cases table.
    """
    groups: dict[tuple[Any, ...], list[Choice]] = {}
    letters = gpu_letters(cases)
    for case in comparable(cases):
        if not case["faults"]:
            gpu = None if pd.isna(case["gpu_uuid"]) else letters.get(case["gpu_uuid"])
            groups.setdefault(tuple(case[key] for key in _SAME), []).append(_choice(case, gpu))
    return {
        same: sorted(choices, key=lambda choice: (choice.time_s is None, choice.time_s or 0))
        for same, choices in groups.items()
        if any(choice.settings != choices[0].settings for choice in choices)
    }


def _choice(case: pd.Series, gpu: str | None) -> Choice:
    facts = MODELS[case["model"]]
    generation = at_steps(case, facts.steps)
    video_s = int(case["frames"]) / facts.fps
    return Choice(
        label=label(case),
        gpu=gpu,
        lossy=is_lossy(case),
        settings={key: _setting(case, key) for key in _SETTINGS},
        step_s=step_text(case),
        vae_computing_s=_known(case["vae_computing_s"]),
        moving_weights_s=_known(case["moving_weights_s"]),
        time_s=generation.time_s,
        energy_j=None if generation.energy_j is None else generation.energy_j / video_s,
        scaled=generation.scaled,
        warmth=warmth(case),
        peak_bytes=_known(case["gpu_mem_allocated_bytes"]),
        reserved_bytes=_known(case["gpu_mem_reserved_bytes"]),
        used_bytes=_known(case["gpu_mem_used_bytes"]),
    )


def _setting(case: pd.Series, key: str) -> str:
    if key == "cache_threshold":
        return "none" if pd.isna(case[key]) else f"{case[key]:g}"
    return str(case[key]).lower() if key == "vae_tiling" else plain(case[key])


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value


def marks_of(choices: Sequence[Choice], alike_memory_pct: float, alike_generation_pct: float = 0.0) -> list[list[str]]:
    """What each choice is best at among all; of what only one was measured for, none is best.

    Args:
        alike_memory_pct: peaks that differ by no more are the same memory: settings that save so little are no choice.
        alike_generation_pct: times and energies that differ by no more are those of equal cases. Pareto takes them as
            they are.
    """
    within = 1 + alike_memory_pct / 100
    marks: list[list[str]] = [[] for _ in choices]
    for mark, figure in _LEAST.items():
        known = [value for choice in choices if (value := getattr(choice, figure)) is not None]
        if len(known) > 1:
            most = min(known) * (within if mark == _LEAST_MEMORY else 1 + alike_generation_pct / 100)
            for choice, its_marks in zip(choices, marks):
                if (value := getattr(choice, figure)) is not None and value <= most:
                    its_marks.append(mark)
    for i in _pareto(choices, within):
        marks[i].append("Pareto")
    return marks


def _pareto(choices: Sequence[Choice], within: float) -> Iterator[int]:
    """Indices of choices that no other settings beat, in one pass over times that grow."""
    known = [i for i, choice in enumerate(choices) if choice.time_s is not None and choice.peak_bytes is not None]
    faster = _LeastMemory()
    for _, group in groupby(sorted(known, key=lambda i: choices[i].time_s), key=lambda i: choices[i].time_s):
        as_fast = list(group)
        together = _LeastMemory()
        for i in as_fast:
            together.add(choices[i])
        for i in as_fast:
            beaten = faster.of_others(choices[i]) <= choices[i].peak_bytes * within
            if not beaten and together.of_others(choices[i]) * within >= choices[i].peak_bytes:
                yield i
        for i in as_fast:
            faster.add(choices[i])


class _LeastMemory:
    """The least peak of each of the two ways that need the least: one of them is not a choice's own."""

    def __init__(self) -> None:
        self._least: dict[tuple[str, ...], float] = {}

    def add(self, choice: Choice) -> None:
        way = tuple(choice.way.values())
        self._least[way] = min(choice.peak_bytes, self._least.get(way, math.inf))
        self._least = dict(sorted(self._least.items(), key=lambda item: item[1])[:2])

    def of_others(self, choice: Choice) -> float:
        own = tuple(choice.way.values())
        return min((peak for way, peak in self._least.items() if way != own), default=math.inf)


def which_settings(cases: pd.DataFrame, alike_memory_pct: float, alike_generation_pct: float) -> str | None:
    """The section of the report; None where no two cases made the same video with different settings.

    Args:
        alike_memory_pct, alike_generation_pct: as `marks_of` takes them.
    """
    groups = groups_of(cases)
    if not groups:
        return None
    parts = ["## Which settings to use"]
    for same, choices in groups.items():
        marks = marks_of(choices, alike_memory_pct, alike_generation_pct)
        parts += [f"### {plain(group_name(*same))}", _table(choices, MODELS[same[0]].steps, marks)]
    lossy = any(choice.lossy for choices in groups.values() for choice in choices)
    named = any(map(_on_several_gpus, groups.values()))
    notes = [f"The column GPU says on which a row was measured: {gpus_named(gpu_letters(cases))}."] if named else []
    return "\n\n".join([*parts, _NOTE, *notes, *([LOSSY_NOTE] if lossy else [])])


def _on_several_gpus(choices: Sequence[Choice]) -> bool:
    return len({choice.gpu for choice in choices}) > 1


def group_name(model: str, task: str, size: str, frames: int, weights: str, gpu: str) -> str:
    """What the cases of a group made, and on what."""
    return f"{model} {task}, {size}, {frames} frames, {weights} weights, GPU {gpu}"


def _table(choices: Sequence[Choice], steps: int, marks: Sequence[Sequence[str]]) -> str:
    several_gpus, moved = _on_several_gpus(choices), any(choice.moving_weights_s for choice in choices)
    differing = [key for key in _SETTINGS if len({choice.settings[key] for choice in choices}) > 1]
    rows = [
        {"Case": choice.label}
        | ({"GPU": choice.gpu or NOT_MEASURED} if several_gpus else {})
        | {key: choice.settings[key] for key in differing}
        | {
            "s/step": choice.step_s,
            "VAE decoding (s)": fixed(choice.vae_computing_s),
        }
        | ({"Moving weights (s)": fixed(choice.moving_weights_s)} if moved else {})
        | {
            "Generation": choice.warmth,
            f"Time at {steps} steps (s)": scaled_text(choice.time_s, choice.scaled),
            "GPU Allocated (GB)": gigabytes(choice.peak_bytes),
            "GPU Reserved (GB)": gigabytes(choice.reserved_bytes),
            "GPU Used (GB)": gigabytes(choice.used_bytes),
            "Energy (J/s of video)": scaled_text(choice.energy_j, choice.scaled, decimals=0),
            "Best at": ", ".join(best_at),
        }
        for choice, best_at in zip(choices, marks)
    ]
    return table(rows, _TEXT_COLUMNS)
