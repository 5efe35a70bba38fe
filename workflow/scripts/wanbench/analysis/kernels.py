"""Kernel profiles of cases as tables: of classes of kernels with the gaps between, and of the longest kernels."""

import gzip
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.collect import case_of
from wanbench.registry.metrics import KERNEL_COLUMNS, LONGEST_COLUMNS
from wanbench.registry.settings import SETTINGS

# Those whose operations the measured rate is for.
_OF_16_BITS = ("attention", "matmul")


def profiles_of(files: Iterable[Path], case_sha256: Mapping[str, str] | None) -> list[tuple[str, dict[str, Any]]]:
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


def kernels_table(profiles: Iterable[tuple[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """The table of profiles, by the names of their cases; columns as `wanbench.registry.metrics` has them."""
    rows = [{"case": case} | row for case, profile in profiles for row in _rows(profile)]
    return pd.DataFrame(rows, columns=list(KERNEL_COLUMNS)).astype(KERNEL_COLUMNS)


def _rows(profile: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rate = profile["matmul_flops_per_s"]
    of_16_bits = {
        "Step": _OF_16_BITS if profile["case"]["dtype"] != "float32" else (),
        "VAE_Decoding": _OF_16_BITS if profile["case"]["vae_dtype"] != "float32" else (),
    }
    for stage, figures in profile["stages"].items():
        times = {"profiled_s": figures["profiled_s"], "unprofiled_s": figures["unprofiled_s"]}
        gaps = {"class": "gaps", "time_s": figures["gap_s"], "count": figures["gaps"], "flops": None}
        for row in (*figures["classes"], gaps):
            at_rate_s = row["flops"] / rate if row["flops"] and rate and row["class"] in of_16_bits[stage] else None
            yield {
                **{key: row[key] for key in ("class", "time_s", "count")},
                "stage": stage,
                "share_pct": 100 * row["time_s"] / figures["profiled_s"],
                "flops_per_s": row["flops"] / row["time_s"] if row["flops"] else None,
                "at_rate_s": at_rate_s,
                "to_gain_pct": None if at_rate_s is None else 100 * (row["time_s"] - at_rate_s) / figures["profiled_s"],
                **times,
            }


# What torch calls the run of a compiled block, with a hash.
_COMPILED = "## Call CompiledFxGraph"


def longest_kernels_table(profiles: Iterable[tuple[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """The longest kernels of profiles, by the names of their cases; columns as `wanbench.registry.metrics` has them."""
    rows = [
        {"case": case, "stage": stage, "kernel": row["name"], "class": row["class"]}
        # Arguments that are no tensors have no shape.
        | {"shapes": re.sub(r", \[\]", "", row["shapes"]) or None}
        | {"module": "a compiled block" if row["module"].startswith(_COMPILED) else row["module"] or None}
        | {key: row[key] for key in ("time_s", "count")}
        | {"share_pct": 100 * row["time_s"] / figures["profiled_s"]}
        for case, profile in profiles
        for stage, figures in profile["stages"].items()
        for row in figures["longest"]
    ]
    return pd.DataFrame(rows, columns=list(LONGEST_COLUMNS)).astype(LONGEST_COLUMNS)


_SAME_STEP = ["model", "size", "frames", "gpu_name"]


def with_best_attention(kernels: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """The table with the fastest attention of profiled steps of the same size on such a GPU, where it changes no video.

    Columns more, of the rows of a step's attention: `best_flops_per_s`, `best_case` and `best_attention`.
    """
    shapes = cases.set_index("case")[[*_SAME_STEP, "attention"]]
    of_step = kernels[(kernels["stage"] == "Step") & (kernels["class"] == "attention")].join(shapes, on="case")
    exact = of_step[~of_step["attention"].isin(SETTINGS["attention"].lossy) & of_step["flops_per_s"].notna()]
    best = exact.sort_values("flops_per_s").groupby(_SAME_STEP).tail(1)
    names = {"flops_per_s": "best_flops_per_s", "case": "best_case", "attention": "best_attention"}
    best = best[[*_SAME_STEP, *names]].rename(columns=names)
    found = of_step[["case", "stage", "class", *_SAME_STEP]].merge(best, on=_SAME_STEP).drop(columns=_SAME_STEP)
    return kernels.merge(found, on=["case", "stage", "class"], how="left")
