"""A trial is a short case. What it is called, and what its trace says."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from wanbench.analysis.comparable import host_mem_bytes, with_official_steps
from wanbench.analysis.tables import TraceTables, records
from wanbench.models.facts import MODELS
from wanbench.registry.settings import METHOD, ROUNDING, SETTINGS, keys
from wanbench.registry.stages import OK
from wanbench.util.digests import value_digest

# Typical steps, and decodings, of equal cases on one GPU differ by less.
_ALIKE = 0.01


@dataclass(frozen=True)
class Answer:
    """What the trace of a trial says; None for what was not measured.

    Attributes:
        video_s: one more video, scaled to the official steps.
        first_video_s: from the start of the process to the end of its first video, scaled as well.
        step_s, step_error_s: a typical step, and about its standard error: half the range of n steps over root n.
        decoding_s: without weight transfers, which differ by more than what a setting changes.
        latent_error, psnr_db: against the stock trial.
    """

    status: str
    message: str = ""
    failed_checks: str = ""
    duration_s: float = 0.0
    video_s: float | None = None
    first_video_s: float | None = None
    step_s: float | None = None
    step_error_s: float = 0.0
    decoding_s: float | None = None
    gpu_used_bytes: float | None = None
    gpu_allocated_bytes: float | None = None
    gpu_total_bytes: float | None = None
    host_bytes: float | None = None
    gpu_name: str | None = None
    gpu_compute_capability: str | None = None
    attention_kernel: str | None = None
    packages: str | None = None
    latent_error: float | None = None
    psnr_db: float | None = None

    def judged_s(self, stage: str) -> tuple[float, float]:
        """Seconds that a setting of the stage is judged by, and by how much they may be off."""
        time_s, error_s = (self.step_s, self.step_error_s) if stage == "steps" else (self.decoding_s, 0.0)
        return time_s, max(error_s, _ALIKE * time_s / 2)


# Columns of the cases table that have another name here.
_RENAMED = {
    "error_message": "message",
    "total_duration_s": "duration_s",
    "vae_computing_s": "decoding_s",
    "gpu_mem_used_bytes": "gpu_used_bytes",
    "gpu_mem_allocated_bytes": "gpu_allocated_bytes",
    "gpu_mem_total_bytes": "gpu_total_bytes",
}
# A case's name has 100 characters at most; the search adds `_final_1_again` or `_confirmed_again`.
_LONGEST_NAME = 80
# What became of a trial.
BEST, WORSE, OUT, SKIPPED, NOT_TRIED, REFERENCE = "better", "dropped", "out", "skipped", "not tried", "reference"

_HUB = "needs a download: try it with --config attention=..."
_BY_TORCH = "`native` chooses it where torch takes it for the fastest"
# Settings that are tried nowhere, with the reason.
_NEVER: dict[tuple[str, Any], str] = {
    **{("attention", f"{name}_hub"): _HUB for name in ("flash", "_flash_3", "flash_4", "sage")},
    **{("attention", f"_native_{name}"): _BY_TORCH for name in ("efficient", "flash")},
    ("attention", "_native_math"): "holds the square of the tokens in memory",
    ("attention", "flex"): "holds the square of the tokens in memory, unless it is compiled by itself",
    ("dtype", "float32"): "never faster than bfloat16",
}


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

    @property
    def has_stock_video(self) -> bool:
        """Whether it ran to its end with settings that leave the video as it is, bit for bit."""
        is_exact = not self.is_lossy and all(SETTINGS[key].video != ROUNDING for key in self.changed)
        return is_exact and self.answer is not None and self.answer.status == OK

    def reason_against(self, stock: Answer | None) -> str | None:
        """Why settings need no trial: by what is known of them, or of this machine from stock's answer."""
        if never := [_NEVER[item] for item in self.changed.items() if item in _NEVER]:
            return never[0]
        if self.changed.get("cache", "none") != "none" and self.settings.get("weights", "random") == "random":
            return "how often a cache serves random weights says nothing of real ones"
        if stock is None:
            return None
        needed = [package for key, value in self.changed.items() if (package := SETTINGS[key].packages.get(value))]
        for package in needed if stock.packages else ():
            if f" {package}=" not in f" {stock.packages}":
                return f"needs the package {package}, which is not installed"
        capability = float(stock.gpu_compute_capability or 0)
        if self.changed.get("attention") == f"_native_{stock.attention_kernel}":
            return "`native` chooses it here"
        # From Ampere, tensor cores take bfloat16 as fast as float16.
        if capability >= 8 and "float16" in self.changed.values():
            return "bfloat16 is as fast on this GPU"
        if capability == 9 and self.changed.get("quantization") == "int8_rowwise":
            return "slower than bfloat16 on an H200"
        return None


def surely_less(answer: Answer, than: Answer, stage: str) -> bool:
    """Whether its time is the lower one, whatever both may be off by."""
    (time_s, error_s), (other_s, other_error_s) = (each.judged_s(stage) for each in (answer, than))
    return time_s + error_s < other_s - other_error_s


def name_of(changed: Mapping[str, Any]) -> str:
    """Such as attention-xformers_compile-repeated_blocks; of a long one, a digest stands for the end."""
    name = "_".join(f"{key}-{changed[key]}" for key in keys(METHOD) if key in changed) or "limited"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 17]}-{value_digest(changed)}"


def answers_of(tables: TraceTables) -> dict[str, Answer]:
    """By name of the trial, without what it changes of the video."""
    steps = tables.values[tables.values["key"] == "step_s"].groupby("trace")["value"]
    error = ((steps.max() - steps.min()) / 2 / steps.count() ** 0.5).reindex(range(len(tables.cases)), fill_value=0.0)
    table = with_official_steps(tables.cases).assign(host_bytes=host_mem_bytes(tables.cases), step_error_s=error)
    table = table.assign(video_s=table["warm_s"].fillna(table["cold_s"])).rename(columns=_RENAMED)
    rows = records(table.fillna({"message": "", "failed_checks": ""}))
    told = [field.name for field in fields(Answer) if field.name in table]
    return {row["case"]: Answer(first_video_s=_first_video_s(row), **{key: row[key] for key in told}) for row in rows}


def _first_video_s(row: Mapping[str, Any]) -> float | None:
    """Known of a process that makes one video alone: what it takes, without the matrix products after it."""
    more = MODELS[row["model"]].steps - row["steps"]
    parts = row["duration_s"], row["step_s"] if more else 0.0
    if row["generations"] != 1 or None in parts:
        return None
    return parts[0] - (row["matmul_s"] or 0.0) + more * parts[1]
