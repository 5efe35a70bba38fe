"""One row for each way to make a video: cases with equal settings together, at the model's official steps."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from wanbench.analysis.comparable import (
    COLD,
    WARM,
    comparable,
    did_not_fit,
    host_mem_bytes,
    with_official_steps,
    with_rounding_bounds,
)
from wanbench.analysis.tables import records
from wanbench.models.facts import MODELS
from wanbench.registry.metrics import SETTINGS_COLUMNS, WAY, WORKLOAD
from wanbench.registry.settings import LOSSY, fidelity, printed
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
    Figures that differ by no more than `alike_time_pct` or `alike_memory_pct` are the same.
    """
    cases = with_rounding_bounds(cases)
    sound = comparable(cases)
    rows = pd.concat([sound[sound["failed_checks"] == ""], did_not_fit(cases)])
    if rows.empty:
        return pd.DataFrame(columns=list(SETTINGS_COLUMNS)).astype(SETTINGS_COLUMNS)
    table = _joined(_figures(rows))
    table["videos_per_hour"] = 3600 / table["time_s"]
    kwh = table["energy_j"] / _J_PER_KWH
    table["cost"] = _sum((table["time_s"] * table["gpus"] / 3600, prices.gpu_hour), (kwh, prices.kwh))
    table["co2_g"] = _sum((kwh, prices.co2_g_per_kwh))
    # In the order of the models, and what did not fit last.
    place, failed = table["model"].map(list(MODELS).index), ~table["fits"].astype(bool)
    table = table.assign(place=place, failed=failed).sort_values(["place", *WORKLOAD[1:], "failed", "time_s"])
    groups = table.groupby(list(WORKLOAD), dropna=False)
    table["best_at"] = pd.concat([_marks(group, alike_time_pct, alike_memory_pct) for _, group in groups])
    return table.reindex(columns=list(SETTINGS_COLUMNS)).astype(SETTINGS_COLUMNS).reset_index(drop=True)


_MEDIANS = ("time_s", "energy_j", "step_s", "vae_computing_s", "compilation_s")
_LARGEST = ("latent_error_rel", "rounding_error_rel")
_LEAST = ("psnr_db", "ssim", "rounding_psnr_db", "rounding_ssim")
_MEMORY = ("host_mem_bytes", "gpu_mem_allocated_bytes", "gpu_mem_reserved_bytes", "gpu_mem_used_bytes")


def _figures(cases: pd.DataFrame) -> pd.DataFrame:
    """What each case has for the table; of one that did not fit, only the memory of its GPU."""
    settings = records(cases[list(WAY)])
    table, fits = with_official_steps(cases), cases["status"] == OK
    warm = _are_warm(table, fits)
    table = table.assign(
        printed=list(map(printed, settings)),
        fidelity=list(map(fidelity, settings)),
        fits=fits,
        is_warm=warm,
        kind=warm.map({True: WARM, False: COLD}),
        scaled=table["scaled"] & fits,
        host_mem_bytes=host_mem_bytes(cases),
        time_s=table["warm_s"].where(warm, table["cold_s"]),
        energy_j=table["warm_j"].where(warm, table["cold_j"]),
        vae_computing_s=table["vae_computing_s"].where(warm, table["cold_vae_computing_s"]),
    )
    return table.assign(**{key: table[key].where(fits) for key in ("kind", *_MEDIANS, *_MEMORY)})


def _are_warm(table: pd.DataFrame, fits: pd.Series) -> pd.Series:
    """Which cases are compared by a warm generation: where each way of the workload has one, or without a cold one."""
    warm, ways = fits & table["warm_s"].notna(), [table[key] for key in (*WORKLOAD, *WAY)]
    # A way that never fitted compares with none.
    of_way, fitted = (each.groupby(ways, dropna=False).transform("any") for each in (warm, fits))
    everywhere = (of_way | ~fitted).groupby(ways[: len(WORKLOAD)], dropna=False).transform("all")
    return warm & (everywhere | table["cold_s"].isna())


def _joined(table: pd.DataFrame) -> pd.DataFrame:
    """Cases with equal settings in one row: medians of times and energies, the highest memory, the largest differences.

    Times, energies and memory are of those that fitted, if any did, and of warm generations, if these are compared.
    """
    settings = {"by": [*WORKLOAD, *WAY], "dropna": False, "sort": False}
    groups = table.groupby(**settings)
    differences = {key: groups[key].transform("max") for key in _LARGEST}
    differences |= {key: groups[key].transform("min") for key in _LEAST}
    alike = table.assign(cases=groups["case"].transform(", ".join), n=1, **differences)[
        (table["fits"] == groups["fits"].transform("any")) & (table["is_warm"] == groups["is_warm"].transform("any"))
    ]
    alike = alike.assign(time_min_s=alike["time_s"], time_max_s=alike["time_s"])
    joins = dict.fromkeys(("printed", "fidelity", "kind", "fits", "cases"), "first") | {"n": "sum", "scaled": "all"}
    joins |= dict.fromkeys(_MEDIANS, "median") | dict.fromkeys((*_MEMORY, "gpu_mem_total_bytes"), "max")
    joins |= dict.fromkeys(differences, "first")
    return alike.groupby(**settings).agg(joins | {"time_min_s": "min", "time_max_s": "max"}).reset_index()


def _sum(*parts: tuple[pd.Series, float | None]) -> pd.Series | float:
    """Amounts at their prices, of those that have one; empty where none has."""
    known = [amount * price for amount, price in parts if price is not None]
    return sum(known) if known else np.nan


def _marks(group: pd.DataFrame, alike_time_pct: float, alike_memory_pct: float) -> pd.Series:
    """What each row of a workload is best at, on as many GPUs; of what only one was measured for, none is best.

    Lossy ones must beat all others. They do not take the place of the best that leaves the video as it is.
    """
    found = pd.Series("", group.index, dtype=object)
    time, memory = 1 + alike_time_pct / 100, 1 + alike_memory_pct / 100
    within = {FASTEST: ("time_s", time), LEAST_MEMORY: ("gpu_mem_allocated_bytes", memory)}
    within[LEAST_ENERGY] = ("energy_j", time)
    fitting = group[group["fits"].astype(bool)]
    for index, row in fitting.iterrows():
        rivals = fitting[fitting["gpus"] == row["gpus"]]
        if row["fidelity"] != LOSSY:
            rivals = rivals[rivals["fidelity"] != LOSSY]
        marks = [
            mark
            for mark, (figure, factor) in within.items()
            if rivals[figure].count() > 1 and row[figure] <= rivals[figure].min() * factor
        ]
        times, memories = (rivals[figure] / row[figure] for figure in ("time_s", "gpu_mem_allocated_bytes"))
        faster, lighter = (times * time < 1) & (memories <= memory), (times <= time) & (memories * memory < 1)
        known = pd.notna(times[index]) and pd.notna(memories[index])
        if len(rivals) > 1 and known and not (faster | lighter).any():
            marks.append(TRADE_OFF)
        found[index] = ", ".join(marks)
    return found
