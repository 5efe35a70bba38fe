"""The section on which settings to use: a table for each video that cases made, on each kind of GPU."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.best_at import marks_of
from wanbench.analysis.choices import SETTINGS, Choice, group_name, groups_of
from wanbench.analysis.comparable import LOSSY_NOTE, scaled_text
from wanbench.analysis.gpu_letters import gpu_letters, gpus_named
from wanbench.analysis.numbers import NOT_MEASURED, fixed, gigabytes, plain
from wanbench.models.facts import MODELS
from wanbench.report.layout import markdown_table

_TEXT_COLUMNS = ("Case", "GPU", *(setting for setting in SETTINGS if setting != "steps"), "Generation", "Best at")
# What is paid once is named from here on.
_ONCE_S = 1.0
# Of the settings that may differ, those that decide most.
_SHOWN_OF_ONE_WAY = ["offload", "compile", "steps"]
_NOTE = (
    "Time and energy are of one generation at the model's official number of steps, without model initialisation and "
    "compilation; (scaled): the case ran another number, and its s/step stands for the difference. Cases that failed "
    "a check are excluded, and caches with random weights."
)


def which_settings(cases: pd.DataFrame, alike_memory_pct: float, alike_generation_pct: float) -> str | None:
    """The section of the report; None where no case of the real models passed its checks or did not fit.

    Args:
        alike_memory_pct, alike_generation_pct: as `marks_of` takes them.
    """
    groups = groups_of(cases)
    if not groups:
        return None
    parts = ["## Which settings to use"]
    for same, choices in groups.items():
        marks = marks_of(choices, alike_memory_pct, alike_generation_pct)
        parts += [
            f"### {plain(group_name(*same))}",
            _table(choices, MODELS[same[0]].steps, marks),
            *_once(choices),
            *_on_the_host(choices),
        ]
    lossy = any(choice.lossy for choices in groups.values() for choice in choices)
    named = any(map(_on_several_gpus, groups.values()))
    notes = [f"The column GPU: {gpus_named(gpu_letters(cases))}."] if named else []
    return "\n\n".join([*parts, _NOTE, *notes, *([LOSSY_NOTE] if lossy else [])])


def _once(choices: Sequence[Choice]) -> list[str]:
    """What a process pays before its first video: who makes only one pays it in full."""
    texts = []
    for what, figure in (("placing the weights", "placement_s"), ("compilation", "compilation_s")):
        times = [(choice.label, getattr(choice, figure)) for choice in choices]
        long = [f"{fixed(time_s)} s ({label})" for label, time_s in times if time_s is not None and time_s >= _ONCE_S]
        if long:
            texts.append(f"{what} {', '.join(long)}")
    return [f"Once for each process, and not in the times above: {'; '.join(texts)}."] if texts else []


def _on_the_host(choices: Sequence[Choice]) -> list[str]:
    """What offloading costs in memory of the host, which can be as scarce as the GPU's."""
    memory = [
        f"{gigabytes(choice.host_bytes)} GB ({choice.label})"
        for choice in choices
        if choice.settings["offload"] != "none" and choice.host_bytes is not None
    ]
    return [f"Host memory with offload: {', '.join(memory)}."] if memory else []


def _on_several_gpus(choices: Sequence[Choice]) -> bool:
    return len({choice.gpu for choice in choices}) > 1


def _table(choices: Sequence[Choice], steps: int, marks: Sequence[Sequence[str]]) -> str:
    several_gpus, transfers = _on_several_gpus(choices), any(choice.weight_transfer_s for choice in choices)
    shown = [key for key in SETTINGS if len({choice.settings[key] for choice in choices}) > 1] or _SHOWN_OF_ONE_WAY
    rows = [
        {"Case": choice.label}
        | ({"GPU": choice.gpu or NOT_MEASURED} if several_gpus else {})
        | {key: choice.settings[key] for key in shown}
        | {"s/step": choice.step_s, "VAE decoding (s)": fixed(choice.vae_computing_s)}
        | ({"Weight transfers as run (s)": fixed(choice.weight_transfer_s)} if transfers else {})
        | {
            "Generation": choice.kind or NOT_MEASURED,
            f"Time at {steps} steps (s)": scaled_text(choice.time_s, choice.scaled),
            "GPU Allocated (GB)": gigabytes(choice.peak_bytes),
            "GPU Reserved (GB)": gigabytes(choice.reserved_bytes),
            "GPU Used (GB)": gigabytes(choice.used_bytes),
            "Energy (J/s of video)": scaled_text(choice.energy_j, choice.scaled, decimals=0),
            "Best at": ", ".join(best_at) if choice.fits else "does not fit",
        }
        for choice, best_at in zip(choices, marks)
    ]
    return markdown_table(rows, _TEXT_COLUMNS)
