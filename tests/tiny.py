"""Tiny pipelines and recordings of them, in the test's own process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from wanbench.measure.spans import Recording, read_records
from wanbench.measure.stage_clock import NoPeakMemory, StageClock
from wanbench.util.event_log import EventLog, EventTail

CPU = torch.device("cpu")


def record(folder: Path, run: Callable[[StageClock], Any]) -> tuple[Any, Recording]:
    """What `run` returns, and what it wrote to its clock."""
    file = folder / "events.jsonl"
    file.unlink(missing_ok=True)
    clock = StageClock(EventLog(file), synchronise=lambda: None, memory=NoPeakMemory())
    result = run(clock)
    return result, read_records(EventTail(file).new_records())
