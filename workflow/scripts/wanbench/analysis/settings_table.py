"""One row for each way to make a video: cases with equal settings together, at the model's official steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wanbench.analysis.comparable import COLD, WARM, at_steps, comparable, did_not_fit, has_kind, host_mem_bytes
from wanbench.models.facts import MODELS
from wanbench.registry import settings as registry
from wanbench.registry.stages import OK

# What is made, and on what. Times are brought to the official steps, so cases may differ in those.
WORKLOAD = ["model", "task", "size", "frames", "guidance", "gpu_name"]
METHOD = list(registry.keys(registry.METHOD))
# Times of random and of pretrained weights are told apart, though they hardly differ.
WAY = ["weights", *METHOD]
FASTEST, LEAST_MEMORY, LEAST_ENERGY, PARETO = "fastest", "least memory", "least energy", "Pareto"
_J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Prices:
    """Of config/prices.yaml; None for what it does not have.

    Attributes:
        gpu_hour: of one GPU. kwh: of a kWh. Both in `currency`.
        co2_g_per_kwh: grams of CO2.
    """

    currency: str | None = None
    gpu_hour: float | None = None
    kwh: float | None = None
    co2_g_per_kwh: float | None = None


def settings_table(cases: pd.DataFrame, prices: Prices, alike_time_pct: float, alike_memory_pct: float) -> pd.DataFrame:
    """The fastest way first within each workload, those that did not fit last.

    Cases of the real models that passed their checks, without caches on random weights. Columns beside the workload,
    the settings and what `_figures` says:

        printed: the settings in a few words. fidelity: exact, rounding or lossy.
        cases: their names. n: their number. fits: whether one ran to its end.
        time_min_s, time_max_s: range of the time among them.
        best_at: in what no other way is better.
        videos_per_hour, cost, co2_g: of one video; empty where no price is given. The cost is what the GPUs cost for
            its time and the energy of the GPUs: idle time, host and cooling are not in it.

    Args:
        alike_time_pct, alike_memory_pct: figures that differ by no more are the same.
    """
    rows = [*(case for case in comparable(cases) if not case["failed_checks"]), *did_not_fit(cases)]
    figures = pd.DataFrame([_figures(case) for case in rows], columns=list(_FIGURES))
    if figures.empty:
        return figures.reindex(columns=[*_FIGURES, *_ADDED])
    table = figures.groupby([*WORKLOAD, *WAY], dropna=False, sort=False).apply(_joined, include_groups=False)
    table = table.reset_index().infer_objects()
    table["videos_per_hour"] = 3600 / table["time_s"]
    kwh = table["energy_j"] / _J_PER_KWH
    table["cost"] = _sum(
        None if prices.gpu_hour is None else table["time_s"] * table["gpus"] / 3600 * prices.gpu_hour,
        None if prices.kwh is None else kwh * prices.kwh,
        like=table["time_s"],
    )
    table["co2_g"] = _sum(None if prices.co2_g_per_kwh is None else kwh * prices.co2_g_per_kwh, like=table["time_s"])
    order = table["model"].map(list(MODELS).index)
    by = ["order", *WORKLOAD[1:], "fits", "time_s"]
    table = (
        table.assign(order=order)
        .sort_values(by, ascending=[True] * (len(by) - 2) + [False, True])
        .drop(columns="order")
    )
    marks = [_marks(group, alike_time_pct, alike_memory_pct) for _, group in table.groupby(WORKLOAD, dropna=False)]
    return table.assign(best_at=pd.concat(marks)).reset_index(drop=True)


_FIGURES = {
    **dict.fromkeys([*WORKLOAD, *WAY, "case", "printed", "fidelity", "fits", "kind", "scaled", "steps"]),
    "time_s": "time_s",
    "energy_j": "energy_j",
    "step_s": "step_s",
    "vae_computing_s": "vae_computing_s",
    "compilation_s": "compilation_s",
    "gpu_mem_allocated_bytes": "gpu_mem_allocated_bytes",
    "gpu_mem_reserved_bytes": "gpu_mem_reserved_bytes",
    "gpu_mem_used_bytes": "gpu_mem_used_bytes",
    "gpu_mem_total_bytes": "gpu_mem_total_bytes",
    "host_mem_bytes": "host_mem_bytes",
}
_ADDED = ["cases", "n", "time_min_s", "time_max_s", "videos_per_hour", "cost", "co2_g", "best_at"]


def _figures(case: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of one case.

    kind: warm or cold, the generation that the figures are of: a later one of its process, or the first.
    time_s, energy_j: of one generation at the model's official steps, without initialisation and compilation; of all
        GPUs together. scaled: the case ran another number of steps, and its s/step stands for the difference.
    compilation_s: paid once for each process. host_mem_bytes: highest memory on the host.
    """
    settings = {key: None if pd.isna(case[key]) else case[key] for key in METHOD}
    printed = registry.printed(settings) + (", pretrained weights" if case["weights"] == "pretrained" else "")
    shown = {"printed": printed, "fidelity": registry.fidelity(settings)}
    row = {key: case[key] for key in [*WORKLOAD, *WAY, "case"]} | shown | {"fits": case["status"] == OK}
    if not row["fits"]:
        return row
    kind = WARM if has_kind(case, WARM) else COLD
    generation = at_steps(case, MODELS[case["model"]].steps, kind)
    row |= {"kind": kind, "scaled": generation.scaled, "steps": case["steps"]}
    row |= {"time_s": generation.time_s, "energy_j": generation.energy_j, "host_mem_bytes": host_mem_bytes(case)}
    row["vae_computing_s"] = case["cold_vae_computing_s" if kind == COLD else "vae_computing_s"]
    return row | {key: case[key] for key in _FIGURES if key not in row}


def _joined(cases: pd.DataFrame) -> pd.Series:
    """One row of cases with equal settings: medians of times and energies, the highest memory."""
    fitted = cases[cases["fits"]]
    kind = WARM if (fitted["kind"] == WARM).any() else COLD
    alike = fitted[fitted["kind"] == kind] if len(fitted) else cases
    first = alike.iloc[0]
    times = pd.to_numeric(alike["time_s"])
    row = {key: first[key] for key in ("printed", "fidelity", "kind", "fits")}
    row |= {"cases": ", ".join(cases["case"]), "n": len(alike), "scaled": bool((alike["scaled"] == True).all())}  # noqa: E712
    row |= {"time_min_s": times.min(), "time_max_s": times.max()}
    for key in ("time_s", "energy_j", "step_s", "vae_computing_s", "compilation_s"):
        row[key] = pd.to_numeric(alike[key]).median()
    for key in _FIGURES:
        if key.endswith("_bytes"):
            row[key] = pd.to_numeric(alike[key]).max()
    return pd.Series(row)


def _sum(*parts: pd.Series | None, like: pd.Series) -> pd.Series:
    """What is known of several parts; empty where nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known[1:], known[0]) if known else pd.Series(np.nan, index=like.index)


def _marks(group: pd.DataFrame, alike_time_pct: float, alike_memory_pct: float) -> pd.Series:
    """What each row of a workload is best at, on as many GPUs; of what only one was measured for, none is best."""
    marks: dict[Any, list[str]] = {index: [] for index in group.index}
    within_time, within_memory = 1 + alike_time_pct / 100, 1 + alike_memory_pct / 100
    for _, rows in group[group["fits"].astype(bool)].groupby("gpus"):
        for mark, figure, within in (
            (FASTEST, "time_s", within_time),
            (LEAST_MEMORY, "gpu_mem_allocated_bytes", within_memory),
            (LEAST_ENERGY, "energy_j", within_time),
        ):
            if rows[figure].count() > 1:
                for index in rows.index[rows[figure] <= rows[figure].min() * within]:
                    marks[index].append(mark)
        for index, row in rows.dropna(subset=["time_s", "gpu_mem_allocated_bytes"]).iterrows():
            time, memory = row["time_s"], row["gpu_mem_allocated_bytes"]
            faster = (rows["time_s"] * within_time < time) & (rows["gpu_mem_allocated_bytes"] <= memory * within_memory)
            lighter = (rows["time_s"] <= time * within_time) & (
                rows["gpu_mem_allocated_bytes"] * within_memory < memory
            )
            if len(rows) > 1 and not (faster | lighter).any():
                marks[index].append(PARETO)
    return pd.Series({index: ", ".join(found) for index, found in marks.items()}, dtype=object)
