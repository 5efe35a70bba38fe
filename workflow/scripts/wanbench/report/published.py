"""The cases beside what others have published of the same model, task, size, frames and number of GPUs."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import (
    LOSSY_NOTE,
    at_steps,
    comparable,
    is_lossy,
    label,
    scaled_text,
    step_text,
    warmth,
)
from wanbench.analysis.numbers import fixed, gigabytes, plain
from wanbench.report.layout import markdown_table
from wanbench.report.provenance import counted_gpu

FILE = Path(__file__).with_name("published_figures.csv")

_TEXT_COLUMNS = (
    *("Case", "GPU", "Offload", "Compile", "Published GPU", "Software"),
    *("Generation", "Published note", "Source"),
)
_NOTE = (
    "A ratio is the figure here over the published one: below 1 is faster. Sources differ in GPU, software and what a "
    "total includes. Published totals are mostly of warm generations (Published note); a cold one here also loads and "
    "chooses kernels. Total(s) excludes initialisation and compilation; (scaled): brought to the published steps by "
    "s/step. Check in the summary marks cases with doubtful figures."
)


@dataclass(frozen=True)
class Published:
    """What a source says of one generation; None where it does not say.

    Attributes:
        gpus: number of GPUs that worked on it together.
        size: width*height in pixels.
        s_per_step: time of a denoising step.
        peak_gb: highest GPU memory, of one GPU.
        note: what the figures are of, as the source has it; may be empty.
    """

    model: str
    task: str
    gpu: str
    gpus: int
    size: str
    frames: int
    steps: int
    software: str
    total_s: float | None
    s_per_step: float | None
    peak_gb: float | None
    energy_kj: float | None
    note: str
    source: str


def read_published(file: Path = FILE) -> list[Published]:
    """Published figures, in the order of the file; an empty cell is what a source does not say."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [_published(row) for row in csv.DictReader(lines)]


def _published(row: dict[str, str]) -> Published:
    text = {key: row[key] for key in ("model", "gpu", "size", "software", "note", "source")}
    whole = {key: int(row[key]) for key in ("gpus", "frames", "steps")}
    figures = {key: float(row[key]) if row[key] else None for key in ("total_s", "s_per_step", "peak_gb", "energy_kj")}
    return Published(task=row["task"].lower(), **text, **whole, **figures)


def pairs(cases: pd.DataFrame, published: Sequence[Published]) -> list[tuple[CaseRow, Published]]:
    """Each case (a row of the cases table) with each figure published for what it made.

    In the order of both, but those of the case's kind of GPU first.
    """
    work = ("model", "task", "size", "frames", "gpus")
    return [
        (case, figure)
        for case in comparable(cases)
        if _is_guided(case)
        for figure in sorted(published, key=lambda figure: not _same_gpu(case, figure))
        if all(case[key] == getattr(figure, key) for key in work)
    ]


def _same_gpu(case: CaseRow, figure: Published) -> bool:
    """Whether a GPU's full name has the words of a published one, which may be one of several: "H100/H800"."""
    words = set() if pd.isna(case["gpu_name"]) else set(re.findall(r"\w+", case["gpu_name"]))
    return any(words.issuperset(name.split()) for name in figure.gpu.split("/"))


def _is_guided(case: CaseRow) -> bool:
    """Guidance of 1 or less does without every second pass, which all published runs have."""
    return float(case["guidance"].split(" / ")[0]) > 1


def against_published(cases: pd.DataFrame, published: Sequence[Published]) -> str | None:
    """The section of the report; None where nothing is published of any case."""
    found = pairs(cases, published)
    if not found:
        return None
    table = pd.DataFrame([_row(case, figure) for case, figure in found])
    if all(figure.energy_kj is None for _, figure in found):
        table = table.drop(columns=["Energy(kJ)", "Published energy(kJ)"])
    notes = [_NOTE, *([LOSSY_NOTE] if any(is_lossy(case) for case, _ in found) else [])]
    return "\n\n".join(["## Against published figures", markdown_table(table, _TEXT_COLUMNS), *notes])


def _row(case: CaseRow, figure: Published) -> dict[str, str]:
    here = at_steps(case, figure.steps)
    return {
        "Case": label(case),
        "GPU": plain(counted_gpu(case)),
        "Offload": plain(case["offload"]),
        "Compile": plain(case["compile"]),
        "Steps": str(case["steps"]),
        "Published GPU": plain(figure.gpu if figure.gpus == 1 else f"{figure.gpus} x {figure.gpu}"),
        "Software": plain(figure.software),
        "Published steps": str(figure.steps),
        "s/step": step_text(case),
        "Published s/step": fixed(figure.s_per_step),
        "s/step ratio": fixed(_ratio(case["step_s"], figure.s_per_step)),
        "Generation": warmth(case),
        "Total(s)": scaled_text(here.time_s, here.scaled),
        "Published total(s)": fixed(figure.total_s),
        "Total ratio": fixed(_ratio(here.time_s, figure.total_s)),
        "Mem(GB)": gigabytes(case["gpu_mem_allocated_bytes"]),
        "Published mem(GB)": fixed(figure.peak_gb),
        "Energy(kJ)": scaled_text(here.energy_j, here.scaled, scale=1e-3),
        "Published energy(kJ)": fixed(figure.energy_kj),
        "Published note": plain(figure.note),
        "Source": plain(figure.source),
    }


def _ratio(here: float | None, published: float | None) -> float | None:
    return None if pd.isna(here) or published is None else here / published
