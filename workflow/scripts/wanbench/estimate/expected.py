"""How long a case is likely to take on the GPU of this machine: from what was measured before."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wanbench.cases.case import Case, case_sha256
from wanbench.registry import settings

# What a case and a kept one must have in common. The time of other steps follows from the time of a step.
_SAME = ("model", "task", "size", "frames", "guidance", "weights", *settings.keys(settings.METHOD, settings.REPETITION))


@dataclass(frozen=True)
class Expected:
    """Seconds of the measuring process, and what they are from."""

    time_s: float
    source: str


def expected_time(case: Case, traces: Path, kept: Iterable[Mapping[str, str]], gpu: str | None) -> Expected | None:
    """From an earlier trace of the case, else from a kept case of the same settings on this kind of GPU, else None.

    Generations of equal settings on one H200 differed by up to 6.1 %, on two by up to 12 %.

    Args:
        traces: folder of the grid's traces.
        kept: rows of `tables/cases.csv` of measured cases.
        gpu: name of the GPU here; None without one.
    """
    file = traces / f"{case.name}.json"
    try:
        trace = json.loads(file.read_text("utf-8"))
        if trace["status"] == "ok" and trace["digests"]["case_sha256"] == case_sha256(case):
            return Expected(trace["total_duration_s"], "its trace")
    except (OSError, ValueError, KeyError, TypeError):
        pass  # None that could be read: the report names it.
    here = {key: _text(getattr(case, key)) for key in _SAME}
    for row in kept:
        alike = row["status"] == "ok" and row["gpu_name"] == gpu and all(row[key] == here[key] for key in _SAME)
        if alike and (row["step_s"] or int(row["steps"]) == case.steps):
            more = (case.steps - int(row["steps"])) * (case.warmup + case.repeats) * float(row["step_s"] or 0)
            return Expected(float(row["total_duration_s"]) + more, f"kept case {row['case']}")
    return None


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
