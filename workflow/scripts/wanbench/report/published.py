"""The cases beside what others have published of the same model, task, size, frames and number of GPUs."""

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.settings_table import FASTEST
from wanbench.analysis.tables import TableRow
from wanbench.estimate.gpu_facts import find_gpu, known_gpus
from wanbench.models.facts import MODELS
from wanbench.util.errors import InputError

FILE = Path(__file__).with_name("published_figures.csv")

_WORK = ["model", "task", "size", "frames", "gpus"]
# Of published figures, the first are taken first.
_LOSSY = ("no", "not stated", "yes")


def read_published() -> pd.DataFrame:
    """Published figures of one generation each, in the order of the file; NA is what a source does not have.

    `kind` is the software's: eager or compiled as diffusers can be, or Wan's official code; `lossy` is whether its
    video is another than bf16 and dense attention make. `peak_gb` is of one GPU; `note` is what the figures are of, as
    the source has it, and may be empty.
    """
    published = pd.read_csv(FILE)
    return published.assign(task=published["task"].str.lower(), note=published["note"].fillna(""))


def published_pairs(settings: pd.DataFrame, published: pd.DataFrame) -> list[dict[str, Any]]:
    """Stock settings and the fastest, each beside what is published of the same video on the nearest hardware.

    Nearest is the same GPU, else the one whose bf16 rate differs least. Of several figures there, one that is not
    lossy is taken, then one of the same kind of software, then of the same steps, then the first of the file. Times are
    brought to the published steps by s/step: `scaled_s`. Columns are those of both tables.
    """
    # Every published run guides, which takes a second pass a step.
    guided = settings[settings["guidance"] != "off"]
    shown = guided["printed"].str.fullmatch("stock|(weights: pretrained)?(, )?(gpus: [0-9]+)?") | guided[
        "best_at"
    ].str.contains(FASTEST)
    published = published.dropna(subset=["steps"])
    pairs = guided[shown & guided["time_s"].notna()].merge(published, on=_WORK, suffixes=("", "_published"))
    if pairs.empty:
        return []
    order = pd.DataFrame([_distance(pair) for pair in pairs.to_dict("records")], index=pairs.index)
    pairs = pairs.join(order).sort_values(list(order), kind="stable").drop_duplicates(["gpu_name", *_WORK, "cases"])
    more = pairs["steps"] - pairs["model"].map({name: facts.steps for name, facts in MODELS.items()})
    pairs = pairs.assign(scaled_s=pairs["time_s"] + more * pairs["step_s"])
    return pairs.sort_values(["other_gpu", *_WORK, "time_s"], kind="stable").to_dict("records")


def _same_gpu(here: str, there: str) -> bool:
    """Whether a GPU's full name has the words of a published one, which may be one of several: "H100/H800"."""
    words = set(re.findall(r"\w+", here))
    return any(words.issuperset(name.split()) for name in there.split("/"))


def _distance(pair: TableRow) -> dict[str, Any]:
    """How far a published figure is from a setting, what counts most first."""
    here, there = _rate(pair["gpu_name"]), _rate(pair["gpu"])
    return {
        "other_gpu": not _same_gpu(pair["gpu_name"], pair["gpu"]),
        "rate_apart": abs(math.log(here / there)) if here and there else math.inf,
        "lossy_place": _LOSSY.index(pair["lossy"]),
        "other_kind": pair["kind_published"] != ("eager" if pair["compile"] == "none" else "compiled"),
        "other_steps": pair["steps"] != MODELS[pair["model"]].steps,
    }


def _rate(gpu: str) -> float | None:
    """Operations in bf16 a second of a GPU by its full name, or by a published one, which may be one of several."""
    try:
        return find_gpu(gpu).bf16
    except InputError:
        names = tuple(gpu.split("/"))
        return next((known.bf16 for known in known_gpus().values() if known.name.startswith(names)), None)
