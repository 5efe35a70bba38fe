"""The figures of all cases, from the tables of their stages and details. NaN, or no row, where nothing was measured."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from wanbench.analysis.generations import GENERATION, STEP, energies, generations_of, steps_of, sums
from wanbench.models.facts import MODELS, passes_per_step
from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import HIGHEST, OF_STAGES
from wanbench.trace.reader import Trace

# A mean over less of the time does not stand for the whole.
_MIN_SHARE_OF_TIME = 0.9
# The detail in which the pipeline takes all weights off the device, in Video_Export.
_OFFLOAD_ALL = "Offload_All"
_PEAKS = [metric.key for metric in OF_STAGES if metric.over_generations == HIGHEST]


def values_of(stages: pd.DataFrame, details: pd.DataFrame, traces: Sequence[Trace]) -> pd.DataFrame:
    """All values that figures are medians of: one row a value, by number of the trace in `trace`, and `key`.

    The key is a column of the cases table, or one of the comparison's alone. Times are of the measured generations;
    peaks, load and energy are of all, as the machine had to bear them. With a cache, steps are short or long by design:
    then the values of s/step are the means of each generation. The tables have the number of the trace in `trace`, too.
    """
    runs = _runs(traces)
    stages = _plain(stages)
    measured = stages[stages["measured"]]
    offload_all = details[(details["detail"] == _OFFLOAD_ALL) & details["trace"].map(runs["offload"]).eq("model")]
    offload_all = offload_all.astype({"generation": float, "time_s": float})
    steps = steps_of(stages)
    generations = generations_of(stages, offload_all.groupby(GENERATION)["time_s"].sum())
    found = {
        **_of_steps(measured, steps, runs),
        **_of_generations(generations, runs),
        **_of_stages(measured, runs),
        **_of_case(stages, runs),
        "power_cap_typical_pct": _power_cap_pct(measured, steps),
        # All weights leave the device at the end with every way of offloading; only with `model` are there any.
        "offload_all_s": _by_trace(offload_all.merge(measured[GENERATION].drop_duplicates(), on=GENERATION), "time_s"),
    }
    values = pd.concat(
        [each.rename("value").rename_axis("trace").reset_index().assign(key=key) for key, each in found.items()]
    )
    return values.dropna(subset="value").reset_index(drop=True)


def mean_over_time(values: Iterable[tuple[float | None, float]]) -> float | None:
    """Mean weighted by time; None where the values that are known are of less than nine tenths of the time.

    Args:
        values: each with the time in seconds that it stands for.
    """
    pairs = list(values)
    known = [(value, time_s) for value, time_s in pairs if value is not None and not pd.isna(value)]
    weight = sum(time_s for _, time_s in known)
    if not weight or weight < _MIN_SHARE_OF_TIME * sum(time_s for _, time_s in pairs):
        return None
    return sum(value * time_s for value, time_s in known) / weight


def _runs(traces: Sequence[Trace]) -> pd.DataFrame:
    """What figures need to know of each trace beside its stages."""
    settings = ["model", "cache", "offload", "weights", "guidance", "frames"]
    cases = pd.DataFrame([trace.case for trace in traces], columns=settings)
    fps = cases["model"].map({name: facts.fps for name, facts in MODELS.items()})
    return cases[["offload"]].assign(
        cached=cases["cache"] != "none",
        loaded=cases["weights"] == "pretrained",
        passes=cases["guidance"].map(passes_per_step),
        video_s=(cases["frames"] / fps).astype(float),
        total_duration_s=pd.Series([trace.total_duration_s for trace in traces], dtype=float),
    )


def _plain(stages: pd.DataFrame) -> pd.DataFrame:
    """What figures are made of, as plain numbers, which are several times as fast as typed columns."""
    numbers = stages.select_dtypes("number")
    plain = pd.DataFrame(numbers.to_numpy(float, na_value=math.nan), columns=numbers.columns)
    for key in ("stage", "expert", "excluded"):
        plain[key] = pd.Series(stages[key].to_numpy(object, na_value=None), dtype=object)
    for key in ("measured", "interrupted"):
        plain[key] = stages[key].to_numpy(bool, na_value=False)
    plain["trace"] = stages["trace"].to_numpy()
    plain["is_inference"] = plain["stage"].str.endswith("_Inference").astype(bool)
    plain["transfer_s"] = plain["loading_s"].fillna(0) + plain["offloading_s"].fillna(0)
    plain["computing_s"] = plain["time_s"] - plain["transfer_s"]
    return plain


def _by_trace(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame.set_index("trace")[column]


def _of_steps(measured: pd.DataFrame, steps: pd.DataFrame, runs: pd.DataFrame) -> dict[str, pd.Series]:
    cold = steps[(steps["generation"] == 0) & steps["excluded"].isna()]
    steps = steps[steps["measured"]]
    typical = steps[steps["typical"]]
    cached = typical["trace"].map(runs["cached"]).astype(bool)
    means_s = typical[cached].groupby(GENERATION)["time_s"].mean().droplevel("generation")
    step_s = pd.concat([_by_trace(typical[~cached], "time_s"), means_s])
    return {
        "step_s": step_s,
        "typical_steps": typical.groupby("trace").size().reindex(runs.index, fill_value=0).astype(float),
        "step_mean_s": steps.groupby("trace")["time_s"].mean(),
        "first_step_s": _by_trace(steps[steps["step"] == 0], "time_s"),
        "cold_first_step_s": _by_trace(cold[cold["step"] == 0], "time_s"),
        "switch_step_s": _by_trace(steps[steps["is_switch"]], "time_s"),
        "step_energy_j": _step_energies_j(measured, typical, cached, step_s),
    }


def _step_energies_j(measured: pd.DataFrame, typical: pd.DataFrame, cached: pd.Series, step_s: pd.Series) -> pd.Series:
    """Energies of the typical steps; where these are too short for one each, what s/step takes at their mean power."""
    each = ~cached & typical["energy_j"].notna().groupby(typical["trace"]).transform("all")
    others = typical[~each]
    # The expert switch may lie between them: power is known of stretches of steps that follow each other.
    follows = (others["step"].diff() == 1) & (others["generation"].diff() == 0) & (others["trace"].diff() == 0)
    others = others.assign(stretch=(~follows).cumsum())
    stretch = [*GENERATION, "stretch"]
    parts = measured.merge(others[[*STEP, "stretch"]], on=STEP)
    powers = parts.groupby(stretch).agg(time_s=("time_s", "sum"))
    powers["power_w"] = energies(parts, stretch) / powers["time_s"]
    power_w = _means_over_time(powers.reset_index(), "power_w", GENERATION).droplevel("generation")
    return pd.concat(
        [_by_trace(typical[each], "energy_j"), power_w * power_w.index.map(step_s.groupby(level=0).median())]
    )


def _means_over_time(frame: pd.DataFrame, column: str, by: list[str]) -> pd.Series:
    found = {key: mean_over_time(zip(part[column], part["time_s"])) for key, part in frame.groupby(by)}
    index = pd.MultiIndex.from_tuples(found, names=by) if found else frame.set_index(by).index[:0]
    return pd.Series(found.values(), index, dtype=float)


def _of_generations(generations: pd.DataFrame, runs: pd.DataFrame) -> dict[str, pd.Series]:
    # The first of the process, whether or not it is a warm-up, and the measured ones after it.
    cold = generations[generations["generation"] == 0]
    warm = generations[(generations["generation"] > 0) & generations["measured"]]
    # What one more video costs.
    further = pd.concat([warm, cold[~cold["trace"].isin(warm["trace"])]])
    return {
        "first_generation_s": _by_trace(cold, "time_s"),
        "generation_s": _by_trace(warm, "time_s"),
        "generation_excl_compilation_s": _by_trace(further, "excl_compilation_s"),
        "generation_energy_j": _by_trace(further, "energy_j"),
        "weight_transfer_s": _by_trace(further, "weight_transfer_s"),
        "cold_generation_s": _by_trace(cold, "excl_compilation_s"),
        "cold_generation_energy_j": _by_trace(cold, "energy_j"),
        "cold_vae_computing_s": _by_trace(cold, "vae_computing_s"),
        "cold_weight_transfer_s": _by_trace(cold, "weight_transfer_s"),
        "video_second_energy_j": further.groupby("trace")["energy_j"].median() / runs["video_s"],
    }


def _of_stages(measured: pd.DataFrame, runs: pd.DataFrame) -> dict[str, pd.Series]:
    """Times of single stages of the measured generations, without what a failure cut short."""
    complete = measured[~measured["interrupted"]]
    names = (stage_names.VAE_DECODING, stage_names.TEXT_ENCODING, stage_names.MODEL_INITIALIZATION)
    decoding, encoding, loading = (complete[complete["stage"] == name] for name in names)
    return {
        "vae_decoding_s": _by_trace(decoding, "time_s"),
        "vae_computing_s": _by_trace(decoding, "computing_s"),
        "text_encoding_s": _by_trace(encoding, "time_s"),
        # Making random weights is no loading, and its time says nothing.
        "model_initialization_s": _by_trace(loading[loading["trace"].map(runs["loaded"]).astype(bool)], "time_s"),
    }


def _of_case(stages: pd.DataFrame, runs: pd.DataFrame) -> dict[str, pd.Series]:
    total = stages[stages["stage"] == stage_names.TOTAL_EXECUTION].set_index("trace")
    inference = stages[stages["is_inference"] & stages["measured"]]
    reused = inference[~inference["interrupted"]].groupby("trace")["passes_reused"]
    compilation = stages[stages["stage"] == stage_names.COMPILATION]
    return {
        "total_duration_s": runs["total_duration_s"],
        "total_execution_s": total["time_s"],
        "energy_j": total["energy_j"],
        "power_mean_w": total["energy_j"] / total["time_s"],
        "total_comp_load_pct_s": total["comp_load_pct_s"],
        "compilation_s": compilation.groupby("trace")["time_s"].sum(),
        "inference_sm_activity_pct": _means_over_time(inference, "sm_activity_pct", ["trace"]),
        "inference_cpu_pct": _means_over_time(inference, "cpu_pct", ["trace"]),
        "inference_comp_load_pct_s": sums(inference, "comp_load_pct_s", ["trace"]),
        "passes_reused": reused.sum(min_count=1),
        "passes": (reused.count() * runs["passes"]).where(reused.count() > 0),
        **{peak: stages.groupby("trace")[peak].max() for peak in _PEAKS},
    }


def _power_cap_pct(measured: pd.DataFrame, steps: pd.DataFrame) -> pd.Series:
    """Share of the samples in inference of typical steps in which the power limit held the clocks down."""
    typical = measured[measured["is_inference"] & measured["power_cap_pct"].notna()].merge(
        steps.loc[steps["typical"], STEP], on=STEP
    )
    capped = (typical["power_cap_pct"] * typical["samples"]).groupby(typical["trace"]).sum()
    return capped / typical.groupby("trace")["samples"].sum()
