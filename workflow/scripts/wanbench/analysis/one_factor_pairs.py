"""Pairs of cases that made the same video and differ in one setting, and maybe in the GPU and the number of steps."""

import pandas as pd

from wanbench.analysis.comparable import COLD, WARM, comparable, with_official_steps
from wanbench.analysis.tables import records
from wanbench.registry.settings import LOSSY, METHOD, SETTINGS, WORKLOAD, fidelity, keys

# Times are scaled to the official steps. Seeds, prompts and the like change no time.
_WORKLOAD = [key for key in keys(WORKLOAD) if key != "steps" and SETTINGS[key].acts_on != "nothing"]
_MACHINE = ["gpu_name", "gpu_power_limit_w", "gpu_driver", "packages"]
_BELONG = {key: of for key in keys(METHOD) for of, _ in SETTINGS[key].only_with if SETTINGS[of].role == METHOD}
# Settings that are varied one at a time; a cache's threshold belongs to the cache.
FACTORS = tuple(key for key in keys(METHOD) if key not in _BELONG)
_FIGURES = ["warm_s", "cold_s", "warm_j", "cold_j", "step_s", "gpu_mem_allocated_bytes"]
_COLUMNS = {
    **dict.fromkeys(("case", "other", "key", "value", "other_value"), "string"),
    **dict.fromkeys(("same_gpu", "lossy"), "boolean"),
    **dict.fromkeys(("step_ratio", "generation_ratio", "energy_ratio", "memory_change_bytes"), "Float64"),
}


def one_factor_pairs(cases: pd.DataFrame) -> pd.DataFrame:
    """For each case and each other value of a setting, the nearest case that differs in that setting alone.

    Columns: `value` and `other_value` as a grid file has them; `same_gpu`: the very same GPU, not only one of its name;
    `lossy`: the other case is lossy, and this one is not. Ratios are this case's figure over the other's, so above 1
    the other is better: of s/step, and of time and energy of a generation scaled to the official steps, warm where
    both have a warm one, else cold. `memory_change_bytes` is what the other takes more at its peak.

    Only cases that passed their checks, of the real models on a GPU, and none with a cache at random weights.
    """
    clean = (cases["failed_checks"].fillna("") == "") & (cases["device"].fillna("") == "cuda")
    rows = comparable(cases[clean])
    table = _prepared(rows) if len(rows) > 1 else None
    varied = [] if table is None else [key for key in FACTORS if table[f"factor_{key}"].nunique() > 1]
    # Empty ones would decide the types.
    found = [pairs for key in varied if len(pairs := _pairs_of(table, key))]
    pairs = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(_COLUMNS))
    return pairs[list(_COLUMNS)].astype(_COLUMNS)


def _prepared(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases with what a merge looks at."""
    table = with_official_steps(cases).assign(lossy=[fidelity(case) == LOSSY for case in records(cases)])
    for key in FACTORS:
        text = table[key].astype("string").str.lower()
        for more in (each for each, of in _BELONG.items() if of == key):
            shown = table[more].map("{:g}".format, na_action="ignore").astype("string")
            text = (text + f", {more}: " + shown).fillna(text)
        table[f"factor_{key}"] = text
    return table


def _pairs_of(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """The pairs that differ in one factor."""
    alike = [*_WORKLOAD, *_MACHINE, *(f"factor_{other}" for other in FACTORS if other != key)]
    table = table.assign(place=table.groupby(alike, dropna=False).ngroup())
    columns = ["case", "steps", "gpu_uuid", "lossy", *_FIGURES]
    table = table[["place", f"factor_{key}", *columns]].rename(columns={f"factor_{key}": "value"})
    # Of cases that are alike the fastest stands for all, so that many of one place make no more pairs.
    alike = ["place", "value", "gpu_uuid", "steps", table["warm_s"].notna(), table["cold_s"].notna()]
    fastest = table.sort_values(["warm_s", "cold_s"]).groupby(alike, dropna=False, sort=False).head(1)
    both = table.merge(fastest, on="place", suffixes=("", "_other"))
    both = both[both["value"] != both["value_other"]]
    # A GPU that was not identified may be any.
    both["same_gpu"] = (both["gpu_uuid"] == both["gpu_uuid_other"]).fillna(False)
    warm, cold = (both[f"{kind}_s"].notna() & both[f"{kind}_s_other"].notna() for kind in (WARM, COLD))
    both["kinds"] = (~warm).astype(int) + (~warm & ~cold).astype(int)
    both["other_steps"] = both["steps"] != both["steps_other"]
    # One of as many steps, or else of the most, is the best evidence.
    nearest = ["same_gpu", "kinds", "other_steps", "steps_other", "warm_s_other", "cold_s_other"]
    both = both.sort_values(nearest, ascending=[False, True, True, False, True, True])
    both = both.groupby(["case", "value_other"], sort=False).head(1).sort_index()
    return both.assign(
        key=key,
        other=both["case_other"],
        other_value=both["value_other"],
        lossy=both["lossy_other"] & ~both["lossy"],
        step_ratio=both["step_s"] / both["step_s_other"],
        generation_ratio=_ratio(both, "s"),
        energy_ratio=_ratio(both, "j"),
        memory_change_bytes=both["gpu_mem_allocated_bytes_other"] - both["gpu_mem_allocated_bytes"],
    )


def _ratio(both: pd.DataFrame, unit: str) -> pd.Series:
    """Of warm generations where both cases have one, else of cold ones: the same kind of both."""
    warm, cold = (both[f"{kind}_{unit}"] / both[f"{kind}_{unit}_other"] for kind in (WARM, COLD))
    return warm.where(both["kinds"] == 0, cold)
