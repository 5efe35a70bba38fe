"""One row for each way to make a video: cases with equal settings together, at the model's official steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wanbench.analysis.comparable import COLD, WARM, at_steps, comparable, did_not_fit, has_kind, host_mem_bytes
from wanbench.models.facts import MODELS
from wanbench.registry import settings as registry
from wanbench.registry.metrics import SETTINGS_COLUMNS, WAY, WORKLOAD
from wanbench.registry.stages import OK

FASTEST, LEAST_MEMORY, LEAST_ENERGY, TRADE_OFF = "fastest", "least memory", "least energy", "trade-off"
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

    Of cases of the real models that passed their checks, without caches on random weights. Columns: docs/tables.md.

    Args:
        alike_time_pct, alike_memory_pct: figures that differ by no more are the same.
    """
    rows = [*(case for case in comparable(cases) if not case["failed_checks"]), *did_not_fit(cases)]
    if not rows:
        return pd.DataFrame(columns=list(SETTINGS_COLUMNS)).astype(SETTINGS_COLUMNS)
    figures = pd.DataFrame(map(_figures, rows))
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
    # In the order of the models, and what did not fit last.
    place, failed = table["model"].map(list(MODELS).index), ~table["fits"].astype(bool)
    table = table.assign(place=place, failed=failed).sort_values(["place", *WORKLOAD[1:], "failed", "time_s"])
    marks = [
        _marks(group, alike_time_pct, alike_memory_pct) for _, group in table.groupby(list(WORKLOAD), dropna=False)
    ]
    table["best_at"] = pd.concat(marks)
    return table.reindex(columns=list(SETTINGS_COLUMNS)).astype(SETTINGS_COLUMNS).reset_index(drop=True)


_MEDIANS = ("time_s", "energy_j", "step_s", "vae_computing_s", "compilation_s")
_MEMORY = ("gpu_mem_allocated_bytes", "gpu_mem_reserved_bytes", "gpu_mem_used_bytes", "gpu_mem_total_bytes")


def _figures(case: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of the table that one case has."""
    settings = {key: None if pd.isna(case[key]) else case[key] for key in WAY}
    shown = {"printed": registry.printed(settings), "fidelity": registry.fidelity(settings)}
    row = {key: case[key] for key in [*WORKLOAD, *WAY, "case"]} | shown | {"fits": case["status"] == OK}
    row |= dict.fromkeys(("kind", "scaled", "host_mem_bytes", *_MEDIANS, *_MEMORY))
    row["gpu_mem_total_bytes"] = case["gpu_mem_total_bytes"]
    if not row["fits"]:
        return row
    kind = WARM if has_kind(case, WARM) else COLD
    generation = at_steps(case, MODELS[case["model"]].steps, kind)
    row |= {"kind": kind, "scaled": generation.scaled, "host_mem_bytes": host_mem_bytes(case)}
    row |= {key: case[key] for key in ("step_s", "compilation_s", *_MEMORY)}
    row["vae_computing_s"] = case["cold_vae_computing_s" if kind == COLD else "vae_computing_s"]
    return row | {"time_s": generation.time_s, "energy_j": generation.energy_j}


def _joined(cases: pd.DataFrame) -> pd.Series:
    """One row of cases with equal settings: medians of times and energies, the highest memory."""
    fitted = cases[cases["fits"]]
    kind = WARM if (fitted["kind"] == WARM).any() else COLD
    alike = fitted[fitted["kind"] == kind] if len(fitted) else cases
    row = {key: alike.iloc[0][key] for key in ("printed", "fidelity", "kind", "fits")}
    row |= {"cases": ", ".join(cases["case"]), "n": len(alike), "scaled": all(alike["scaled"])}
    figures = alike[["host_mem_bytes", *_MEDIANS, *_MEMORY]].apply(pd.to_numeric)
    row |= dict(figures[list(_MEDIANS)].median()) | dict(figures[["host_mem_bytes", *_MEMORY]].max())
    return pd.Series(row | {"time_min_s": figures["time_s"].min(), "time_max_s": figures["time_s"].max()})


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
                marks[index].append(TRADE_OFF)
    return pd.Series({index: ", ".join(found) for index, found in marks.items()}, dtype=object)
