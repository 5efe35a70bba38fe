"""How long a case is likely to take on the GPU of this machine: from what was measured before."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wanbench.cases.case import Case, case_sha256
from wanbench.cases.scale import as_sized
from wanbench.estimate.gpu_facts import find_gpu
from wanbench.estimate.prediction import predict
from wanbench.models.facts import MODELS
from wanbench.registry import settings
from wanbench.registry.stages import OK
from wanbench.trace.writer import read_head
from wanbench.util.errors import InputError

# What a case and a kept one must have in common. The time of other steps follows from the time of a step.
_SAME = ("model", "task", "size", "frames", "guidance", "weights", *settings.keys(settings.METHOD, settings.REPETITION))
# What kept cases took beside generating, with random weights: 18 to 43 s, half of them 31 s or less.
_STARTING_S = 30
# Of them, compiled ones took so much more: compiling, with its first step and its processes.
_COMPILING_S = 15


@dataclass(frozen=True)
class Expected:
    """Seconds of the measuring process, and what they are from."""

    time_s: float
    source: str


def expected_time(case: Case, traces: Path, kept: Iterable[Mapping[str, str]], gpu: str | None) -> Expected | None:
    """From an earlier trace of the case, else from a kept case of the same settings on this kind of GPU, else from the
    GPU's datasheet; else None.

    Generations of equal settings on one H200 differed by up to 6.1 %, on two by up to 12 %.

    Args:
        traces: folder of the grid's traces.
        kept: rows of `tables/cases.csv` of measured cases.
        gpu: name of the GPU here; None without one.
    """
    trace = read_head(traces / f"{case.name}.json") or {}
    if trace.get("status") == OK and trace.get("digests", {}).get("case_sha256") == case_sha256(case):
        return Expected(trace["total_duration_s"], "its trace")
    here = {key: _text(getattr(case, key)) for key in _SAME}
    for row in kept:
        # A table of before there was a setting has no column of it.
        same = all(row.get(key, "") == here[key] for key in _SAME)
        alike = row["status"] == OK and row["gpu_name"] == gpu and same
        if alike and (row["step_s"] or int(row["steps"]) == case.steps):
            more = (case.steps - int(row["steps"])) * (case.warmup + case.repeats) * float(row["step_s"] or 0)
            return Expected(float(row["total_duration_s"]) + more, f"kept case {row['case']}")
    return _by_datasheet(case, gpu)


def _by_datasheet(case: Case, gpu: str | None) -> Expected | None:
    try:
        predicted = predict(as_sized(case), find_gpu(gpu), {})
    except InputError:
        return None  # It is not one of those whose datasheet is known.
    if predicted.total_s is None:
        return None
    fewer = MODELS[case.model].steps - case.steps
    generation_s = predicted.total_s.typical - fewer * predicted.step_s.typical
    beside_s = _STARTING_S + (0 if case.compile == "none" else _COMPILING_S)
    return Expected(beside_s + (case.warmup + case.repeats) * generation_s, "the GPU's datasheet, without loading")


def kept_cases(reference: Path) -> list[dict[str, str]]:
    """Rows of the cases tables that are kept with the project."""
    rows = []
    for file in sorted(reference.glob("*/tables/cases.csv")):
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows += list(csv.DictReader(lines))
    return rows


def _text(value: object) -> str:
    """A setting as the CSV has it."""
    if isinstance(value, tuple):
        return " / ".join(f"{number:g}" for number in value)
    return "" if value is None else str(value)
