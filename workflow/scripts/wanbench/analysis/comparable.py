"""What the report's comparisons rest on: which cases compare, and one generation at the official number of steps."""

import pandas as pd

from wanbench.models.facts import MODELS
from wanbench.registry.settings import ROUNDING
from wanbench.registry.stages import OK, OOM

WARM, COLD = "warm", "cold"
# Columns of the cases table: that there is such a generation (one that is contaminated is none), its time and energy.
_KEYS = {
    WARM: ("generation_s", "generation_excl_compilation_s", "generation_energy_j"),
    COLD: ("cold_generation_s", "cold_generation_s", "cold_generation_energy_j"),
}


def with_official_steps(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases with one generation of each, without initialisation and compilation, as if it had the official steps.

    Columns more: `warm_s`, `warm_j`, `cold_s` and `cold_j`, empty where it, or a step to add to it, was not measured;
    `scaled`: the case ran another number of steps, and its typical step (s/step) stands for those that differ.
    """
    more = cases["model"].map({name: facts.steps for name, facts in MODELS.items()}).astype("Int64") - cases["steps"]
    figures = {}
    for kind, (found, time, energy) in _KEYS.items():
        for unit, whole, step in (("s", time, "step_s"), ("j", energy, "step_energy_j")):
            scaled = cases[whole].where(more == 0, cases[whole] + more * cases[step])
            figures[f"{kind}_{unit}"] = scaled.where(cases[found].notna())
    return cases.assign(**figures, scaled=more != 0)


def with_rounding_bounds(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases with the greatest difference from their baseline that rounding alone has made in one of this table.

    Columns more: `rounding_error_rel`, `rounding_psnr_db` and `rounding_ssim`, as `latent_error_rel`, `psnr_db` and
    `ssim`; empty where no case differs from the baseline in settings that are rounding and none that is lossy.
    """
    bounds = cases[(cases["difference"] == ROUNDING).fillna(False)].groupby("baseline")
    worst = {"error_rel": ("latent_error_rel", "max"), "psnr_db": ("psnr_db", "min"), "ssim": ("ssim", "min")}
    return cases.join(bounds.agg(**worst).add_prefix("rounding_"), on="baseline")


def comparable(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases that ran to their end, of the real models and not on the CPU, and whose times say something of those."""
    return _of_real_use(cases[(cases["status"] == OK) & (cases["device"].fillna("") != "cpu")])


def did_not_fit(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases of the real models that ran out of the memory of a GPU that they had for themselves."""
    alone = cases["other_processes"].fillna(0) == 0
    return _of_real_use(cases[(cases["status"] == OOM) & alone & cases["gpu_name"].notna()])


def _of_real_use(cases: pd.DataFrame) -> pd.DataFrame:
    # A checkpoint has no scale: it brings its own size.
    real = cases[cases["scale"].fillna("") != "tiny"]
    # A LoRA makes another video, often in other than the official steps.
    real = real[real["lora"].isna() & real["lora_low_noise"].isna()]
    # How often a cache serves random weights, and so all times, would not be true of real ones.
    return real[~((real["cache"] != "none") & (real["weights"] == "random"))]


def host_mem_bytes(cases: pd.DataFrame) -> pd.Series:
    """Highest memory of each case on the host, in bytes; empty where it was not measured.

    It is what its processes held, added up, or what the whole machine had in use where that is less: the sum counts a
    page that several of them share for each.
    """
    return cases[["process_mem_bytes", "sys_mem_bytes"]].min(axis=1).where(cases["process_mem_bytes"].notna())
