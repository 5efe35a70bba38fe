"""A trial is a short case. What it is called, and what its trace says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from wanbench.analysis.comparable import host_mem_bytes, with_official_steps
from wanbench.analysis.tables import TraceTables
from wanbench.models.facts import MODELS
from wanbench.registry.settings import METHOD, SETTINGS, keys


@dataclass(frozen=True)
class Answer:
    """What the trace of a trial says; None for what was not measured.

    Attributes:
        video_s: one more video, scaled to the official steps.
        first_video_s: from the start of the process to the end of its first video, scaled as well.
        step_s, step_spread_s: a typical step, and half the range of these steps.
        latent_error, psnr_db: against the stock trial.
    """

    status: str
    message: str = ""
    failed_checks: str = ""
    duration_s: float = 0.0
    video_s: float | None = None
    first_video_s: float | None = None
    step_s: float | None = None
    step_spread_s: float = 0.0
    decoding_s: float | None = None
    gpu_used_bytes: float | None = None
    gpu_allocated_bytes: float | None = None
    gpu_total_bytes: float | None = None
    host_bytes: float | None = None
    gpu_name: str | None = None
    attention_kernel: str | None = None
    latent_error: float | None = None
    psnr_db: float | None = None


# What became of a trial.
BEST, WORSE, OUT, SKIPPED, NOT_TRIED, REFERENCE = "better", "dropped", "out", "skipped", "not tried", "reference"


@dataclass
class Trial:
    """A case that was tried, or would have been.

    Attributes:
        settings: keys of a case.
        changed: of these, the ones that the search has chosen.
        verdict: one of those above, with its reason.
    """

    name: str
    settings: dict[str, Any]
    answer: Answer | None = None
    verdict: str = ""
    reason: str = ""
    changed: dict[str, Any] = field(default_factory=dict)

    @property
    def is_lossy(self) -> bool:
        return any(SETTINGS[key].is_lossy(value) for key, value in self.changed.items())


def number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def name_of(changed: Mapping[str, Any]) -> str:
    """Such as attention-xformers_compile-repeated_blocks."""
    return "_".join(f"{key}-{changed[key]}" for key in keys(METHOD) if key in changed) or "limited"


def answers_of(tables: TraceTables) -> dict[str, Answer]:
    """By name of the trial, without what it changes of the video."""
    steps = tables.values[tables.values["key"] == "step_s"].groupby("trace")["value"]
    spread = ((steps.max() - steps.min()) / 2).to_dict()
    return {row["case"]: _answer(row, spread) for row in _rows(tables.cases)}


def _rows(cases: pd.DataFrame) -> Iterator[dict[str, Any]]:
    table = with_official_steps(cases)
    table = table.assign(host_bytes=host_mem_bytes(cases), video_s=table["warm_s"].fillna(table["cold_s"]))
    yield from table.assign(number=range(len(table))).to_dict("records")


def _answer(row: Mapping[str, Any], spread: Mapping[int, float]) -> Answer:
    def text(key: str) -> str:
        return "" if pd.isna(row[key]) else str(row[key])

    return Answer(
        status=row["status"],
        message=text("error_message"),
        failed_checks=text("failed_checks"),
        duration_s=number(row["total_duration_s"]) or 0.0,
        video_s=number(row["video_s"]),
        first_video_s=_first_video_s(row),
        step_s=number(row["step_s"]),
        step_spread_s=spread.get(row["number"], 0.0),
        decoding_s=number(row["vae_decoding_s"]),
        gpu_used_bytes=number(row["gpu_mem_used_bytes"]),
        gpu_allocated_bytes=number(row["gpu_mem_allocated_bytes"]),
        gpu_total_bytes=number(row["gpu_mem_total_bytes"]),
        host_bytes=number(row["host_bytes"]),
        gpu_name=text("gpu_name") or None,
        attention_kernel=text("attention_kernel") or None,
    )


def _first_video_s(row: Mapping[str, Any]) -> float | None:
    """Known of a process that makes one video alone: what it takes, without the matrix products after it."""
    more = MODELS[row["model"]].steps - row["steps"]
    parts = [number(row["total_duration_s"]), number(row["step_s"]) if more else 0.0]
    if row["generations"] != 1 or None in parts:
        return None
    return parts[0] - (number(row["matmul_s"]) or 0.0) + more * parts[1]
