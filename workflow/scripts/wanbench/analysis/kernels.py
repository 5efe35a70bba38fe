"""Kernel profiles of cases as tables: of classes of kernels with the gaps between, and of the longest kernels."""

import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.collect import case_of
from wanbench.registry.metrics import KERNEL_COLUMNS, LONGEST_COLUMNS
from wanbench.registry.settings import SETTINGS

# Those whose operations the measured rate is for, where the stage computes in 16 bit.
_OF_16_BITS = ("attention", "matmul")
_DTYPES = {"Step": "dtype", "VAE_Decoding": "vae_dtype"}
# What torch calls the run of a compiled block, with a hash.
_COMPILED = "## Call CompiledFxGraph"
_SAME_STEP = ["model", "size", "frames", "gpu_name"]

Profiles = Iterable[tuple[str, Mapping[str, Any]]]


def profiles_of(files: Iterable[Path], case_sha256: Mapping[str, str] | None) -> Profiles:
    """Profiles by the names of their cases, but those of other settings than the case has now, which are named.

    Args:
        case_sha256: of each case as it is now; None for profiles that stand for themselves.
    """
    profiles = [(case_of(file), read_profile(file)) for file in files]
    stale = {case for case, profile in profiles if case_sha256 and case_sha256[case] != profile["case_sha256"]}
    for case in sorted(stale):
        print(f"results/kernels/{case}.json is of other settings; snakemake kernels makes it again", file=sys.stderr)
    return [(case, profile) for case, profile in profiles if case not in stale]


def read_profile(file: Path) -> dict[str, Any]:
    """A case's profile, as rule profile wrote it; perhaps compressed."""
    data = file.read_bytes()
    return json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)


def kernels_table(profiles: Profiles) -> pd.DataFrame:
    """The table of profiles, by the names of their cases."""
    stages = [
        {"case": case, "stage": stage, "rate": profile["matmul_flops_per_s"] or None}
        | {"in_16_bit": profile["case"][_DTYPES[stage]] != "float32"}
        | {key: figures[key] for key in ("profiled_s", "unprofiled_s")}
        | row
        for case, profile in profiles
        for stage, figures in profile["stages"].items()
        for row in (*figures["classes"], {"class": "gaps", "time_s": figures["gap_s"], "count": figures["gaps"]})
    ]
    types = dict.fromkeys(("flops", "rate", "time_s", "profiled_s"), float) | {"in_16_bit": bool}
    table = pd.DataFrame(stages, columns=[*dict.fromkeys([*KERNEL_COLUMNS, *types])]).astype(types)
    flops = table["flops"].where(table["flops"] > 0)
    at_rate_s = (flops / table["rate"]).where(table["in_16_bit"] & table["class"].isin(_OF_16_BITS))
    table = table.assign(
        share_pct=100 * table["time_s"] / table["profiled_s"],
        flops_per_s=flops / table["time_s"],
        at_rate_s=at_rate_s,
        to_gain_pct=100 * (table["time_s"] - at_rate_s) / table["profiled_s"],
    )
    return table[list(KERNEL_COLUMNS)].astype(KERNEL_COLUMNS)


def longest_kernels_table(profiles: Profiles) -> pd.DataFrame:
    """The longest kernels of profiles, by the names of their cases."""
    rows = [
        row
        | {"case": case, "stage": stage, "kernel": row["name"]}
        | {"share_pct": 100 * row["time_s"] / figures["profiled_s"]}
        for case, profile in profiles
        for stage, figures in profile["stages"].items()
        for row in figures["longest"]
    ]
    table = pd.DataFrame(rows, columns=list(LONGEST_COLUMNS))
    # Arguments that are no tensors have no shape.
    table["shapes"] = table["shapes"].replace({r", \[\]": ""}, regex=True)
    table["module"] = table["module"].replace({f"^{_COMPILED}.*": "a compiled block"}, regex=True)
    return table.replace({"": None}).astype(LONGEST_COLUMNS)


def with_best_attention(kernels: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """The table with the fastest attention of profiled steps of the same size on such a GPU, where it changes no video.

    Columns more: those of _SAME_STEP, `attention`, and of the rows of a step's attention `best_flops_per_s`,
    `best_case` and `best_attention`.
    """
    same = [*_SAME_STEP, "stage", "class"]
    table = kernels.join(cases.set_index("case")[[*_SAME_STEP, "attention"]], on="case")
    of_step = table[(table["stage"] == "Step") & (table["class"] == "attention") & table["flops_per_s"].notna()]
    exact = of_step[~of_step["attention"].isin(SETTINGS["attention"].lossy)]
    names = {"flops_per_s": "best_flops_per_s", "case": "best_case", "attention": "best_attention"}
    best = exact.sort_values("flops_per_s").groupby(same).tail(1)[[*same, *names]].rename(columns=names)
    return table.merge(best, on=same, how="left")
