"""A report in the form of the reference report as a baseline: what it says, without what it cannot know.

0 in its columns is what was not measured. No hardware is read from it, so nothing held against it has a verdict.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanbench.report.compare.contradictions import (
    has_cache,
    notes_of,
    other_offload,
    other_size,
    step_change,
    steps_s,
    true_load_pct_s,
    typical_steps_s,
)
from wanbench.report.compare.measured import FIRST_STEP, TYPICAL_STEP, Figure, MeasuredCase
from wanbench.report.compare.printed import NAMELESS, PrintedCase, read_printed
from wanbench.trace import names

# The reference report says whether weights moved, and has only diffusers' model offload for it.
_OFFLOAD = {"True": "model", "False": "none"}


@dataclass(frozen=True)
class SeedReport:
    """The cases of a report, and in what it contradicts itself."""

    cases: list[MeasuredCase]
    notes: list[str]


def read_seed_report(path: Path) -> SeedReport:
    """A report as a baseline.

    Raises:
        InputError: it is not in the form. The message names file, line and column.
    """
    printed, head = read_printed(path)
    return SeedReport([_measured(case, printed) for case in printed], notes_of(printed, head))


def _measured(case: PrintedCase, cases: list[PrintedCase]) -> MeasuredCase:
    change = step_change(case, cases)
    stages = _stages(case)
    return MeasuredCase(
        name=case.name,
        status=None,
        doubt=None if change is None else f"check: step time changes, {change}",
        settings=_settings(case, cases),
        hardware={},
        software={},
        figures={
            "step_s": stages.get(TYPICAL_STEP, Figure()),
            "first_step_s": stages.get(FIRST_STEP, Figure()),
            "text_encoding_s": stages.get(names.TEXT_ENCODING, Figure()),
            "vae_decoding_s": stages.get(names.VAE_DECODING, Figure()),
            "gpu_mem_bytes": _known(case.mem_gb, 1e9),
            "total_duration_s": _known(case.time_s),
            "comp_load_pct_s": _known(true_load_pct_s(case)),
        },
        stages=stages,
    )


def _settings(case: PrintedCase, cases: list[PrintedCase]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if other_size(case, cases) is None:
        settings["size"] = case.size
    if other_offload(case, cases) is None:
        settings["offload"] = _OFFLOAD.get(case.offload, case.offload)
    steps = len(steps_s(case))
    return settings | ({"steps": steps} if steps else {})


def _stages(case: PrintedCase) -> dict[str, Figure]:
    times: dict[str, Figure] = {}
    steps = steps_s(case)
    for stage in case.stages:
        if names.step_index(stage.name) is None:
            if stage.name != NAMELESS:
                times[stage.name] = _known(stage.time_s)
        elif FIRST_STEP not in times:
            times[FIRST_STEP] = Figure.of(step_s for index, step_s in steps if index == 0)
            times[TYPICAL_STEP] = Figure.of([case.step_s] if has_cache(case) else typical_steps_s(case))
    return {name: figure for name, figure in times.items() if figure.value is not None}


def _known(value: float | None, factor: float = 1.0) -> Figure:
    """A single value in SI units; 0 is none."""
    return Figure(value * factor) if value else Figure()
