"""Tables of steps and of generations, from the stages of all traces.

Stages are plain numbers here, NaN where nothing was measured, with the number of the trace in `trace`.
"""

import pandas as pd

from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import SHORTEST_WITH_ENERGY_S

GENERATION = ["trace", "generation"]
STEP = [*GENERATION, "step"]

# Stages shorter than the sampling interval have no sampled values. A sum over less of the time is not the whole.
_MIN_SHARE_OF_TIME = 0.99
# Those whose extents follow each other; the other stages of a generation lie in them.
_OUTER = (stage_names.PREPROCESS, stage_names.VAE_DECODING, stage_names.VIDEO_EXPORT)


def sums(stages: pd.DataFrame, measure: str, by: list[str]) -> pd.Series:
    """Sum over the stages that have a measure; NaN where they are less than 99 % of the time."""
    grouped = stages.assign(known_s=stages["time_s"].where(stages[measure].notna())).groupby(by)
    enough = grouped["known_s"].sum() >= _MIN_SHARE_OF_TIME * grouped["time_s"].sum()
    return grouped[measure].sum(min_count=1).where(enough)


def energies(stages: pd.DataFrame, by: list[str]) -> pd.Series:
    """Energy in joules of stages without compilation, also where some are too short or interleaved to have a figure.

    Where such stages are more than 1 % of the time, it is the energy of the outer stages with what lies in them, less
    that of compilation. It is NaN where that is not known: something else lies in between, or the whole is short.
    """
    is_compilation = stages["stage"] == stage_names.COMPILATION
    whole = stages[stages["stage"].isin(_OUTER) | stages["is_inference"]].groupby(by)["extent_energy_j"]
    whole_j = whole.sum().where(whole.count() == whole.size())
    compiled = is_compilation.groupby([stages[key] for key in by]).any()
    compilation_j = sums(stages[is_compilation], "energy_j", by).reindex(compiled.index).where(compiled, 0.0)
    grouped = stages.assign(end_s=stages["start_s"] + stages["extent_s"]).groupby(by)
    whole_s = grouped["end_s"].max() - grouped["start_s"].min()
    is_whole = (whole_s >= SHORTEST_WITH_ENERGY_S) & (grouped["time_s"].sum() >= _MIN_SHARE_OF_TIME * whole_s)
    added_up_j = sums(stages[~is_compilation], "energy_j", by).reindex(whole_s.index)
    return added_up_j.fillna((whole_j.reindex(whole_s.index) - compilation_j).where(is_whole))


def steps_of(stages: pd.DataFrame) -> pd.DataFrame:
    """One row a complete denoising step: time and energy of loading and inference together.

    `typical` steps are all but the first, which launches kernels for the first time, and the one in which the second
    expert begins (`is_switch`), which transfers weights.
    """
    parts = stages[stages["step"].notna() & stages["generation"].notna()]
    steps = parts.groupby(STEP).agg(
        measured=("measured", "first"),
        excluded=("excluded", "first"),
        interrupted=("interrupted", "any"),
        expert=("expert", "last"),
        time_s=("time_s", "sum"),
    )
    steps["energy_j"] = energies(parts, STEP)
    steps = steps.reset_index()
    experts = steps["expert"].astype(object).where(steps["expert"].notna(), "")
    follows = steps.groupby(GENERATION)["step"].shift() == steps["step"] - 1
    before = experts.groupby([steps["trace"], steps["generation"]]).shift().where(follows, "")
    steps["is_switch"] = (steps["step"] > 0) & (experts != before)
    steps["typical"] = (steps["step"] > 0) & ~steps["is_switch"]
    return steps[~steps["interrupted"]]


def generations_of(stages: pd.DataFrame, offload_all_s: pd.Series) -> pd.DataFrame:
    """One row a generation that ran to its end and is not excluded; energy and transfers are without compilation.

    Args:
        offload_all_s: time in which all weights left the device at the end, by trace and generation.
    """
    parts = stages[stages["generation"].notna() & stages["excluded"].isna()]
    ended = parts[(parts["stage"] == stage_names.VIDEO_EXPORT) & ~parts["interrupted"]]
    parts = parts.merge(ended[GENERATION].drop_duplicates(), on=GENERATION)
    bare = parts[parts["stage"] != stage_names.COMPILATION]
    decoding = bare[bare["stage"] == stage_names.VAE_DECODING].groupby(GENERATION)
    table = parts.groupby(GENERATION).agg(measured=("measured", "first"), time_s=("time_s", "sum"))
    table["excl_compilation_s"] = bare.groupby(GENERATION)["time_s"].sum()
    table["energy_j"] = energies(parts, GENERATION)
    table["vae_computing_s"] = decoding["computing_s"].median()
    table["weight_transfer_s"] = bare.groupby(GENERATION)["transfer_s"].sum().add(offload_all_s, fill_value=0)
    return table.reset_index()
