"""Tiny pipelines and recordings of them, in the test's own process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from conftest import ROOT
from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.measure.spans import Recording, read_records
from wanbench.measure.stage_clock import NoPeakMemory, StageClock
from wanbench.util.event_log import EventLog, EventTail

CPU = torch.device("cpu")
IMAGE = str(ROOT / "config/first_frame.png")


def tiny_case(model: str = "TI2V-5B", **settings: Any) -> Case:
    """A tiny case that runs every stage in well under a second."""
    size = "64*64" if model == "TI2V-5B" else "32*32"
    basis = {"model": model, "scale": "tiny", "size": size, "unofficial_size": True, "frames": 5, "steps": 3}
    if settings.get("task") == "i2v" or model == "I2V-A14B":
        settings["image"] = IMAGE
    if settings.get("weights") == "pretrained":
        del basis["scale"]
    return resolve_cases({"cases": {"tiny": basis | {"dtype": "float32"} | settings}}, "tiny")[0]


def record(folder: Path, run: Callable[[StageClock], Any]) -> tuple[Any, Recording]:
    """What `run` returns, and what it wrote to its clock."""
    file = folder / "events.jsonl"
    file.unlink(missing_ok=True)
    clock = StageClock(EventLog(file), synchronise=lambda: None, memory=NoPeakMemory())
    result = run(clock)
    return result, read_records(EventTail(file).new_records())
