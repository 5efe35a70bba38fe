"""Tiny pipelines and recordings of them, in the test's own process."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline

from wanbench.cases.case import Case
from wanbench.measure.spans import Recording, read_records
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.generate import generate, pipeline_arguments
from wanbench.measure.wan.observe import observe
from wanbench.measure.wan.setup import apply_settings
from wanbench.util.event_log import EventLog, EventTail

CPU = torch.device("cpu")


def record(folder: Path, run: Callable[[StageClock], Any]) -> tuple[Any, Recording]:
    """What `run` returns, and what it wrote to its clock."""
    file = folder / "events.jsonl"
    file.unlink(missing_ok=True)
    clock = StageClock(EventLog(file), synchronise=lambda: None)
    result = run(clock)
    return result, read_records(EventTail(file).new_records())


def make(case: Case) -> DiffusionPipeline:
    """The pipeline of a case with its settings applied."""
    pipe = build_pipeline(case, CPU, StageClock.silent())
    apply_settings(pipe, case, CPU)
    return pipe


def frames_of(pipe: DiffusionPipeline, case: Case) -> np.ndarray:
    """Of an unobserved generation."""
    return pipe(**pipeline_arguments(case)).frames[0]


@cache
def stock_frames(case: Case) -> np.ndarray:
    return frames_of(make(case), case)


def observed(pipe: DiffusionPipeline, case: Case, folder: Path, generations: int = 1) -> tuple[np.ndarray, Recording]:
    """Frames of the last of so many observed generations, and the recording of all."""

    def run(clock: StageClock) -> Any:
        with observe(pipe, clock):
            for number in range(generations):
                clock.note("generation", number=number, measured=True)
                frames = generate(pipe, case, folder / "video.mp4", clock)
        return frames

    return record(folder, run)


def relative_error(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(values - expected) / np.linalg.norm(expected))


def rounding_bound(case: Case) -> float:
    """Relative error of the frames of two ways to compute the same in float32, such as sums in another order.

    Each operation rounds once. In sequence there are some 12 in each of a tiny denoiser's 6 blocks, and 100 in the
    decoder; guidance multiplies the difference of two passes.
    """
    return float(np.finfo(np.float32).eps) * 2 * max(case.guidance) * (12 * 6 * case.steps + 100)
