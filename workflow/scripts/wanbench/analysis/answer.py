"""The answer of a report: of each workload, the settings to use, as rows of the settings table."""

from typing import Any

import pandas as pd

from wanbench.analysis.tables import TableRow, records
from wanbench.registry.metrics import WAY, WORKLOAD
from wanbench.registry.settings import LOSSY, printed

# Memory of cards that people have, in GB of 1e9 bytes.
CARDS_GB = (24, 48, 80)
# A generation that takes so many times the fastest one's time is still a useful speed.
USEFUL = 1.25

# Rows of the settings table by what they are the answer to.
Answer = dict[str, Any]


def answers_of(settings: pd.DataFrame, alike_time_pct: float, alike_memory_pct: float) -> list[Answer]:
    """An answer for each workload of the settings table, in its order; None for what was not measured.

    Keys: `workload`, columns of WORKLOAD; `ways`, how many were measured; `fastest` on one GPU, exact or different in
    rounding alone; `lossy`, the fastest on one GPU, where that is faster; `light`, the least memory used of those on
    one GPU that change no more than rounding and take at most USEFUL times the time of the fastest, where torch
    allocated less, too; `several`, the fastest on several GPUs; `cards`, what runs on a card of a memory, by its GB, of
    those with less than the GPU that was measured: the fastest way that `fits` by the memory used on the whole GPU, and
    one that `may_fit` by the memory that torch had allocated and what the GPU held beside its allocator, where that is
    faster: on a large GPU the allocator takes more than it needs. Figures that differ by no more than `alike_time_pct`
    and `alike_memory_pct` are the same.
    """
    workloads = settings.groupby(list(WORKLOAD), dropna=False, sort=False)
    return [_answer(rows, alike_time_pct, alike_memory_pct) for _, rows in workloads]


def _answer(rows: pd.DataFrame, alike_time_pct: float, alike_memory_pct: float) -> Answer:
    alike_time, alike_memory = 1 + alike_time_pct / 100, 1 + alike_memory_pct / 100
    timed = rows.sort_values("time_s").dropna(subset="time_s")
    one, several = timed[timed["gpus"] == 1], timed[timed["gpus"] > 1]
    sound, lossy = one[one["fidelity"] != LOSSY], one[one["fidelity"] == LOSSY]
    fastest = _first(sound)
    useful = sound[sound["time_s"] <= USEFUL * sound["time_s"].min()]
    light = _first(useful[useful["gpu_mem_used_bytes"] <= useful["gpu_mem_used_bytes"].min() * alike_memory])
    allocated = [way and way["gpu_mem_allocated_bytes"] for way in (light, fastest)]
    if all(allocated) and allocated[0] * alike_memory >= allocated[1]:
        light = fastest
    smaller = [size for size in CARDS_GB if size * 1e9 < rows["gpu_mem_total_bytes"].max()]
    # What changes the video comes after all that does not.
    ways = pd.concat([sound, lossy])
    return {
        "workload": {key: rows.iloc[0][key] for key in WORKLOAD},
        "ways": len(rows),
        "fastest": fastest,
        "lossy": _if_faster(_first(lossy), fastest, alike_time),
        "light": light,
        "cards": {size: _fit(ways, size * 1e9, alike_time) for size in smaller},
        "several": _first(several[several["fidelity"] != LOSSY]),
    }


def _fit(ways: pd.DataFrame, size_bytes: float, alike_time: float) -> dict[str, TableRow | None]:
    # CUDA's context and kernels.
    beside_bytes = (ways["gpu_mem_used_bytes"] - ways["gpu_mem_reserved_bytes"]).clip(lower=0)
    fits = _first(ways[ways["gpu_mem_used_bytes"] <= size_bytes])
    may_fit = _first(ways[ways["gpu_mem_allocated_bytes"] + beside_bytes <= size_bytes])
    return {"fits": fits, "may_fit": _if_faster(may_fit, fits, alike_time)}


def _if_faster(way: TableRow | None, other: TableRow | None, alike_time: float) -> TableRow | None:
    return way if way and (not other or way["time_s"] * alike_time < other["time_s"]) else None


def _first(rows: pd.DataFrame) -> TableRow | None:
    """The first row; of rows in the order of their time the fastest. It is printed as for a GPU that needs no limit."""
    if rows.empty:
        return None
    [way] = records(rows[:1])
    return way | {"printed": printed({key: way[key] for key in WAY if key != "gpu_memory_gb"})}
