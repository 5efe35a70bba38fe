"""The answer of a report in cells: which settings to use for each workload, with time, memory, energy and cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wanbench.analysis.answer import CARDS_GB, USEFUL, Answer, Fit
from wanbench.analysis.numbers import fixed, plain
from wanbench.models.facts import MODELS
from wanbench.registry.settings import LOSSY
from wanbench.report.cells import gb, spread_of, supported, time_text, without_empty

FASTEST, LIGHT, SEVERAL = "Fastest", f"Least memory, {100 * (USEFUL - 1):.0f} % slower at most", "On several GPUs"
LOSSY_FASTEST = "Faster, but changes the video"
WORKLOAD = "To make"
# What is paid once is named from here on.
_ONCE_S = 1.0


def answer_rows(answers: Sequence[Answer], alike_pct: float, currency: str | None) -> list[dict[str, str]]:
    """A row for each workload; cells are empty where nothing was measured."""
    gpus = {answer.workload["gpu_name"] for answer in answers}
    return without_empty(
        [_row(answer, alike_pct, currency, named=len(gpus) > 1) for answer in answers], kept=[WORKLOAD]
    )


def _row(answer: Answer, alike_pct: float, currency: str | None, named: bool) -> dict[str, str]:
    def cell(way: Mapping[str, Any] | None) -> str:
        if way is None:
            return ""
        loss = ", loss not measured" if way["fidelity"] == LOSSY else ""
        return f"**{plain(way['printed'])}**: {figures(way, alike_pct, currency)}{loss}"

    light = answer.light
    if light is not None and answer.fastest is not None and light["printed"] == answer.fastest["printed"]:
        light = None
    cards = {f"On {size} GB": _card(answer.cards[size], alike_pct) for size in CARDS_GB if size in answer.cards}
    return {
        WORKLOAD: plain(workload_text(answer.workload, named)),
        FASTEST: cell(answer.fastest) + (" (the only setting measured)" if answer.ways == 1 else ""),
        LOSSY_FASTEST: cell(answer.lossy),
        LIGHT: cell(light) if light is not None else ("same as Fastest" if answer.fastest else ""),
        **cards,
        SEVERAL: cell(answer.several),
    }


def workload_text(workload: Mapping[str, Any], gpu_named: bool) -> str:
    """What is made: model, task and size, what of it is not official, and on what, where a report has several GPUs."""
    facts = MODELS[workload["model"]]
    parts = [f"{workload['model']} {workload['task']} {workload['size']}"]
    parts[0] += "" if workload["size"] in facts.sizes else " (unofficial)"
    parts += [f"{workload['frames']} frames"] if workload["frames"] != facts.frames else []
    parts += [f"guidance {workload['guidance']}"] if workload["guidance"] != _official_guidance(facts) else []
    return ", ".join([*parts, *([workload["gpu_name"]] if gpu_named else [])])


def _official_guidance(facts: Any) -> str:
    return " / ".join(f"{scale:g}" for scale in facts.guidance)


def figures(way: Mapping[str, Any], alike_pct: float, currency: str | None) -> str:
    """Time, memory used, videos an hour, energy, cost, and what starting it takes."""
    parts = [time_text(way, alike_pct), f"{gb(way['gpu_mem_used_bytes'])} GB"]
    parts.append(f"{supported(way['videos_per_hour'], spread_of(way, alike_pct))} videos/h")
    if pd.notna(way["energy_j"]):
        parts.append(f"{fixed(way['energy_j'], 0, 1 / 3600)} Wh")
    if pd.notna(way["cost"]):
        parts.append(f"{fixed(way['cost'], 2)} {plain(currency or '')}".strip())
    if pd.notna(way["co2_g"]):
        parts.append(f"{fixed(way['co2_g'], 0)} g CO2")
    if pd.notna(way["compilation_s"]) and way["compilation_s"] >= _ONCE_S:
        parts.append(f"{way['compilation_s']:.0f} s to compile once")
    if "offload" in way["printed"] and pd.notna(way["host_mem_bytes"]):
        parts.append(f"{gb(way['host_mem_bytes'], 0)} GB of host memory")
    return ", ".join(parts)


def _card(fit: Fit, alike_pct: float) -> str:
    parts = []
    for way, how in ((fit.fits, ""), (fit.may_fit, "may fit: ")):
        if way is not None:
            changes = " (changes the video)" if way["fidelity"] == LOSSY else ""
            parts.append(f"{how}**{plain(way['printed'])}**{changes}, {time_text(way, alike_pct)}")
    return "; ".join(parts) or "no measured setting fits"
