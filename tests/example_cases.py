"""Cases to test with. Imports nothing of the measure wing, so that tests of the report run where torch is not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from conftest import ROOT
from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.models.facts import MODELS

IMAGE = str(ROOT / "config/first_frame.png")


def tiny_case(model: str = "TI2V-5B", **settings: Any) -> Case:
    """A tiny case that runs every stage in well under a second."""
    size = "64*64" if model == "TI2V-5B" else "32*32"
    basis = {"model": model, "scale": "tiny", "size": size, "unofficial_size": True, "frames": 5, "steps": 3}
    if settings.get("task") == "i2v" or model == "I2V-A14B":
        settings.setdefault("image", IMAGE)
    if settings.get("weights") == "pretrained":
        del basis["scale"]
    return resolve_cases({"cases": {"tiny": basis | {"dtype": "float32"} | settings}}, "tiny")[0]


def full_case(name: str = "full", model: str = "TI2V-5B", **settings: Any) -> Case:
    """A case of the real model, with its official settings but for those given."""
    facts = MODELS[model]
    official = {"dtype": "bfloat16", "size": facts.sizes[0], "frames": facts.frames, "steps": facts.steps}
    if settings.get("weights") != "pretrained":
        official["scale"] = "full"
    return replace(tiny_case(model, **official | settings), name=name)


def resolve(settings: dict[str, Any], name: str = "a") -> Case:
    """The only case of a grid file that says no more than this."""
    return resolve_cases({"cases": {name: settings}}, "grid.yaml")[0]


def case_of_row(row: Mapping[str, str]) -> Case:
    """The case of a row of a kept cases table."""
    texts = ("model", "task", "size", "offload", "attention", "compile", "timesteps", "quantization")
    values: dict[str, Any] = {key: row[key] for key in (*texts, "dtype", "vae_dtype") if row[key]}
    values |= {key: int(row[key]) for key in ("frames", "steps", "warmup", "repeats")}
    values |= {"image": IMAGE} if row["task"] == "i2v" else {}
    return full_case(unofficial_size=True, vae_tiling=row["vae_tiling"] == "True", **values)
