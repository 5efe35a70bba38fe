"""The cases beside what others have published of the same model, task, size, frames and number of GPUs."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.numbers import fixed, gb, plain
from wanbench.analysis.settings_table import FASTEST
from wanbench.estimate.gpu_facts import find_gpu, known_gpus
from wanbench.models.facts import MODELS
from wanbench.report.cells import compact_table, supported, without_empty
from wanbench.util.errors import InputError

FILE = Path(__file__).with_name("published_figures.csv")

_WORK = ["model", "task", "size", "frames", "gpus"]
# Of published figures, the first are taken first.
_LOSSY = ("no", "not stated", "yes")
_TEXT_COLUMNS = ("Settings", "To make", "Published on", "Software", "Source")


def read_published() -> pd.DataFrame:
    """Published figures of one generation each, in the order of the file; NA is what a source does not have.

    `kind` is the software's: eager or compiled as diffusers can be, or Wan's official code; `lossy` is whether its
    video is another than bf16 and dense attention make. `peak_gb` is of one GPU; `note` is what the figures are of, as
    the source has it, and may be empty.
    """
    published = pd.read_csv(FILE)
    return published.assign(task=published["task"].str.lower(), note=published["note"].fillna(""))


def published_table(settings: pd.DataFrame, published: pd.DataFrame, alike_pct: float) -> str:
    """Stock settings and the fastest, each beside what is published of the same video on the nearest hardware.

    Nearest is the same GPU, else the one whose bf16 rate differs least. Of several figures there, one that is not
    lossy is taken, then one of the same kind of software, then of the same steps, then the first of the file. Times are
    brought to the published steps by s/step. Empty where nothing is published.

    Args:
        settings: the settings table.
    """
    if settings.empty:
        return ""
    # Every published run guides, which takes a second pass a step.
    guided = settings[settings["guidance"] != "off"]
    shown = guided["printed"].str.fullmatch("stock|(weights: pretrained)?(, )?(gpus: [0-9]+)?") | guided[
        "best_at"
    ].str.contains(FASTEST)
    published = published.dropna(subset=["steps"]).rename(
        columns={"steps": "steps_published", "kind": "kind_published"}
    )
    pairs = guided[shown & guided["time_s"].notna()].merge(published, on=_WORK)
    if pairs.empty:
        return ""
    order = pd.DataFrame([_distance(pair) for pair in pairs.to_dict("records")], index=pairs.index)
    pairs = pairs.join(order).sort_values(list(order), kind="stable").drop_duplicates(["gpu_name", *_WORK, "cases"])
    pairs = pairs.sort_values(["other_gpu", *_WORK, "time_s"], kind="stable")
    rows = [_row(pair, alike_pct / 100) for pair in pairs.to_dict("records")]
    return compact_table(without_empty(rows), _TEXT_COLUMNS)


def _same_gpu(here: str, there: str) -> bool:
    """Whether a GPU's full name has the words of a published one, which may be one of several: "H100/H800"."""
    words = set(re.findall(r"\w+", here))
    return any(words.issuperset(name.split()) for name in there.split("/"))


def _distance(pair: Mapping[str, Any]) -> dict[str, Any]:
    """How far a published figure is from a setting, what counts most first."""
    here, there = _rate(pair["gpu_name"]), _rate(pair["gpu"])
    return {
        "other_gpu": not _same_gpu(pair["gpu_name"], pair["gpu"]),
        "rate_apart": abs(math.log(here / there)) if here and there else math.inf,
        "lossy_place": _LOSSY.index(pair["lossy"]),
        "other_kind": pair["kind_published"] != ("eager" if pair["compile"] == "none" else "compiled"),
        "other_steps": pair["steps_published"] != MODELS[pair["model"]].steps,
    }


def _rate(gpu: str) -> float | None:
    """Operations in bf16 a second of a GPU by its full name, or by a published one, which may be one of several."""
    try:
        return find_gpu(gpu).bf16
    except InputError:
        names = tuple(gpu.split("/"))
        return next((known.bf16 for known in known_gpus().values() if known.name.startswith(names)), None)


def _row(pair: Mapping[str, Any], spread: float) -> dict[str, str]:
    time_s = pair["time_s"] + (pair["steps_published"] - MODELS[pair["model"]].steps) * pair["step_s"]
    return {
        "Settings": plain(pair["printed"]),
        "To make": plain(f"{pair['model']} {pair['task']} {pair['size']}, {pair['steps_published']:.0f} steps"),
        "Time (s)": supported(time_s, spread),
        "Published (s)": fixed(pair["total_s"], 1),
        "Time ratio": fixed(time_s / pair["total_s"]),
        "s/step": supported(pair["step_s"], spread),
        "Published s/step": fixed(pair["s_per_step"]),
        "Step ratio": fixed(pair["step_s"] / pair["s_per_step"]),
        "Allocated (GB)": gb(pair["gpu_mem_allocated_bytes"]),
        "Published (GB)": fixed(pair["peak_gb"], 1),
        "Published on": plain(pair["gpu"] if pair["gpus"] == 1 else f"{pair['gpus']} x {pair['gpu']}"),
        "Software": plain(pair["software"] + (" (lossy)" if pair["lossy"] == "yes" else "")),
        "Source": plain(", ".join(text for text in (pair["source"], pair["note"]) if text)),
    }
