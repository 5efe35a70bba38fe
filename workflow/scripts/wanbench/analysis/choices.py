"""Ways to make the same video on the same GPU: time, memory and energy of each, and those that do not fit."""

from collections.abc import Sequence
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
    known,
    label,
    step_text,
    warmth,
)
from wanbench.analysis.gpu_letters import gpu_letters
from wanbench.analysis.numbers import NOT_MEASURED, plain
from wanbench.models.facts import MODELS
from wanbench.registry import settings as registry
from wanbench.registry.stages import OK

# What decides the time of steps alone stays in one table: times are scaled to the official steps.
_OF_STEPS = tuple(key for key in registry.keys(registry.WORKLOAD) if registry.SETTINGS[key].acts_on == "steps")
# More GPUs are no setting that who has one could choose, and memory is that of each.
_SAME = ("model", "task", "size", "frames", "weights", "gpu_name", "gpus")
SETTINGS = (*registry.keys(registry.METHOD), *_OF_STEPS)
# Figures that are columns of the cases table, and those of which a cold generation has its own.
_COLUMNS = {
    "peak_bytes": "gpu_mem_allocated_bytes",
    "reserved_bytes": "gpu_mem_reserved_bytes",
    "used_bytes": "gpu_mem_used_bytes",
    "placement_s": "placement_s",
    "compilation_s": "compilation_s",
}
_OF_A_GENERATION = ("vae_computing_s", "weight_transfer_s")


@dataclass(frozen=True)
class Choice:
    """A case as one of several ways to make the same video; None where something was not measured, or did not fit.

    Attributes:
        gpu: what the report calls the GPU where there are several; None for one that it could not identify.
        settings: by key of the grid file, as the report prints them.
        step_s: median as the report prints it.
        time_s: of one generation at the model's official steps.
        energy_j: of the same, for each second of its video.
        scaled: time and energy are not of as many steps as the case ran.
        kind: of the generation: warm or cold.
        vae_computing_s, weight_transfer_s: of the generation, as the case ran it.
        peak_bytes, reserved_bytes, used_bytes: highest GPU memory that torch had allocated and reserved, and that was
            used on the whole device.
        placement_s, compilation_s: paid once for each process, outside of `time_s`.
        host_bytes: highest memory on the host, see `host_mem_bytes`.
        fits: it ran to its end, and not out of the GPU's memory.
    """

    label: str
    gpu: str | None
    lossy: bool
    settings: dict[str, str]
    step_s: str
    time_s: float | None = None
    energy_j: float | None = None
    scaled: bool = False
    kind: str | None = None
    vae_computing_s: float | None = None
    weight_transfer_s: float | None = None
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
    letters = gpu_letters(cases)
    groups: dict[tuple[Any, ...], list[CaseRow]] = {}
    for case in [*(case for case in comparable(cases) if not case["failed_checks"]), *did_not_fit(cases)]:
        same = tuple(None if pd.isna(case[key]) else case[key] for key in _SAME)
        groups.setdefault(same, []).append(case)
    return {same: _choices(rows, letters) for same, rows in groups.items()}


def _choices(rows: Sequence[CaseRow], letters: dict[str, str]) -> list[Choice]:
    kind = kind_of_all([case for case in rows if case["status"] == OK]) or COLD
    choices = [_choice(case, letters, kind if has_kind(case, kind) else warmth(case)) for case in rows]
    return sorted(choices, key=lambda choice: (not choice.fits, choice.time_s is None, choice.time_s or 0))


def differ(choices: Sequence[Choice]) -> bool:
    """Whether there is a choice of settings."""
    return any(choice.settings != choices[0].settings for choice in choices)


def group_name(model: str, task: str, size: str, frames: int, weights: str, gpu: str | None, gpus: int) -> str:
    """What the cases of a group made, and on what."""
    count = "" if gpus == 1 else f"{gpus} x "
    return f"{model} {task}, {size}, {frames} frames, {weights} weights, GPU {count}{gpu or NOT_MEASURED}"


def _choice(case: CaseRow, letters: dict[str, str], kind: str) -> Choice:
    settings = {key: _setting(case, key) for key in SETTINGS}
    gpu = None if pd.isna(case["gpu_uuid"]) else letters.get(case["gpu_uuid"])
    choice = Choice(label(case), gpu, is_lossy(case), settings, step_text(case), fits=case["status"] == OK)
    if not choice.fits:
        return choice
    facts = MODELS[case["model"]]
    generation = at_steps(case, facts.steps, kind)
    columns = _COLUMNS | {key: f"cold_{key}" if kind == COLD else key for key in _OF_A_GENERATION}
    return replace(
        choice,
        time_s=generation.time_s,
        # For each second of the video.
        energy_j=None if generation.energy_j is None else generation.energy_j * facts.fps / int(case["frames"]),
        scaled=generation.scaled,
        kind=kind,
        host_bytes=host_mem_bytes(case),
        **{name: known(case[column]) for name, column in columns.items()},
    )


def _setting(case: CaseRow, key: str) -> str:
    value = case[key]
    if registry.SETTINGS[key].type == "real":
        return "none" if pd.isna(value) else f"{value:g}"
    return str(value).lower() if registry.SETTINGS[key].type == "truth" else plain(value)
