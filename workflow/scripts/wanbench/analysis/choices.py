"""Ways to make the same video on the same GPU: time, memory and energy of each, and those that do not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import (
    COLD,
    at_steps,
    comparable,
    did_not_fit,
    has_kind,
    host_mem_bytes,
    is_lossy,
    kind_of_all,
    label,
    step_text,
    warmth,
)
from wanbench.analysis.gpu_letters import gpu_letters
from wanbench.analysis.numbers import NOT_MEASURED, plain
from wanbench.models.facts import MODELS

# More GPUs are no setting that who has one could choose, and memory is that of each.
_SAME = ("model", "task", "size", "frames", "weights", "gpu_name", "gpus")
SETTINGS = (
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


@dataclass(frozen=True)
class Choice:
    """A case as one of several ways to make the same video; None where something was not measured.

    Attributes:
        gpu: what the report calls the GPU where there are several; None for one that it could not identify.
        settings: by key of the grid file, as the report prints them.
        step_s: median as the report prints it.
        vae_computing_s: median of decoding without the weights that move in it.
        weight_transfer_s: of one generation, as the case ran it.
        time_s: of one generation at the model's official steps.
        energy_j: of one generation at the model's official steps, for each second of its video.
        scaled: time and energy are not of as many steps as the case ran.
        kind: of the generation: warm or cold; None for one that does not fit.
        peak_bytes, reserved_bytes, used_bytes: highest GPU memory that torch had allocated and reserved, and that was
            used on the whole device; None for one that does not fit, which came to no peak.
        placement_s, compilation_s: of the whole process, which pays them once, outside of `time_s`. The former is None
            where the case compiles.
        host_bytes: highest memory on the host, see `host_mem_bytes`.
        fits: it ran to its end, and not out of the GPU's memory.
    """

    label: str
    gpu: str | None
    lossy: bool
    settings: dict[str, str]
    step_s: str
    vae_computing_s: float | None = None
    weight_transfer_s: float | None = None
    time_s: float | None = None
    energy_j: float | None = None
    scaled: bool = False
    kind: str | None = None
    peak_bytes: float | None = None
    reserved_bytes: float | None = None
    used_bytes: float | None = None
    placement_s: float | None = None
    compilation_s: float | None = None
    host_bytes: float | None = None
    fits: bool = True

    @property
    def way(self) -> dict[str, str]:
        """The settings without the steps, since all choices are held against each other at the same number."""
        return {key: value for key, value in self.settings.items() if key != "steps"}


def groups_of(cases: pd.DataFrame) -> dict[tuple[Any, ...], list[Choice]]:
    """Choices by what they made and on what, the fastest first and those that do not fit last.

    Args:
        cases: the cases table.
    """
    ran: dict[tuple[Any, ...], list[CaseRow]] = {}
    too_big: dict[tuple[Any, ...], list[CaseRow]] = {}
    for case in comparable(cases):
        if not case["failed_checks"]:
            ran.setdefault(_same(case), []).append(case)
    for case in did_not_fit(cases):
        too_big.setdefault(_same(case), []).append(case)
    letters = gpu_letters(cases)
    return {same: _group(ran.get(same, []), too_big.get(same, []), letters) for same in ran | too_big}


def _same(case: CaseRow) -> tuple[Any, ...]:
    return tuple(None if pd.isna(case[key]) else case[key] for key in _SAME)


def _group(ran: Sequence[CaseRow], too_big: Sequence[CaseRow], letters: Mapping[str, str]) -> list[Choice]:
    kind = kind_of_all(ran) or COLD
    choices = [_choice(case, _gpu(case, letters), kind if has_kind(case, kind) else warmth(case)) for case in ran]
    choices.sort(key=lambda choice: (choice.time_s is None, choice.time_s or 0))
    return choices + [_too_big(case, _gpu(case, letters)) for case in too_big]


def _gpu(case: CaseRow, letters: Mapping[str, str]) -> str | None:
    return None if pd.isna(case["gpu_uuid"]) else letters.get(case["gpu_uuid"])


def differ(choices: Sequence[Choice]) -> bool:
    """Whether there is a choice of settings."""
    return any(choice.settings != choices[0].settings for choice in choices)


def group_name(model: str, task: str, size: str, frames: int, weights: str, gpu: str | None, gpus: int) -> str:
    """What the cases of a group made, and on what."""
    count = "" if gpus == 1 else f"{gpus} x "
    return f"{model} {task}, {size}, {frames} frames, {weights} weights, GPU {count}{gpu or NOT_MEASURED}"


def _choice(case: CaseRow, gpu: str | None, kind: str) -> Choice:
    facts = MODELS[case["model"]]
    generation = at_steps(case, facts.steps, kind)
    video_s = int(case["frames"]) / facts.fps
    of_kind = "cold_" if kind == COLD else ""
    return replace(
        _row_of(case, gpu),
        vae_computing_s=_known(case[f"{of_kind}vae_computing_s"]),
        weight_transfer_s=_known(case[f"{of_kind}weight_transfer_s"]),
        time_s=generation.time_s,
        energy_j=None if generation.energy_j is None else generation.energy_j / video_s,
        scaled=generation.scaled,
        kind=kind,
        peak_bytes=_known(case["gpu_mem_allocated_bytes"]),
        reserved_bytes=_known(case["gpu_mem_reserved_bytes"]),
        used_bytes=_known(case["gpu_mem_used_bytes"]),
        placement_s=_known(case["placement_s"]),
        compilation_s=_known(case["compilation_s"]),
        host_bytes=host_mem_bytes(case),
    )


def _too_big(case: CaseRow, gpu: str | None) -> Choice:
    return replace(_row_of(case, gpu), fits=False)


def _row_of(case: CaseRow, gpu: str | None) -> Choice:
    """A case without the figures of a generation."""
    settings = {key: _setting(case, key) for key in SETTINGS}
    return Choice(label(case), gpu, is_lossy(case), settings, step_text(case))


def _setting(case: CaseRow, key: str) -> str:
    if key == "cache_threshold":
        return "none" if pd.isna(case[key]) else f"{case[key]:g}"
    return str(case[key]).lower() if key == "vae_tiling" else plain(case[key])


def _known(value: float) -> float | None:
    return None if pd.isna(value) else value
