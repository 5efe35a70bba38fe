"""The cases beside what others have published of the same model, task, size, frames and number of GPUs."""

import re
from pathlib import Path

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
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
from wanbench.report.provenance import gpu_with_count

FILE = Path(__file__).with_name("published_figures.csv")

_WORK = ["model", "task", "size", "frames", "gpus"]
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


def read_published(file: Path = FILE) -> pd.DataFrame:
    """Published figures of one generation each, in the order of the file; NA is what a source does not have.

    `peak_gb` is of one GPU; `note` is what the figures are of, as the source has it, and may be empty.
    """
    published = pd.read_csv(file)
    return published.assign(task=published["task"].str.lower(), note=published["note"].fillna(""))


def pairs(cases: pd.DataFrame, published: pd.DataFrame) -> list[CaseRow]:
    """Each case with each figure published for what it made, in one row; published steps are `steps_published`.

    In the order of both, but those of the case's kind of GPU first.
    """
    names = [case["case"] for case in comparable(cases) if _is_guided(case)]
    here, place = cases[cases["case"].isin(names)], {name: i for i, name in enumerate(names)}
    both = case_rows(here.merge(published, on=_WORK, suffixes=("", "_published")))
    return sorted(both, key=lambda pair: (place[pair["case"]], not _same_gpu(pair)))


def _same_gpu(pair: CaseRow) -> bool:
    """Whether a GPU's full name has the words of a published one, which may be one of several: "H100/H800"."""
    words = set() if pd.isna(pair["gpu_name"]) else set(re.findall(r"\w+", pair["gpu_name"]))
    return any(words.issuperset(name.split()) for name in pair["gpu"].split("/"))


def _is_guided(case: CaseRow) -> bool:
    """Guidance of 1 or less does without every second pass, which all published runs have."""
    return bool(case["guidance_first"] > 1)


def against_published(cases: pd.DataFrame, published: pd.DataFrame) -> str | None:
    """The section of the report; None where nothing is published of any case."""
    found = pairs(cases, published)
    if not found:
        return None
    table = pd.DataFrame(map(_row, found))
    if all(pd.isna(pair["energy_kj"]) for pair in found):
        table = table.drop(columns=["Energy(kJ)", "Published energy(kJ)"])
    notes = [_NOTE, *([LOSSY_NOTE] if any(map(is_lossy, found)) else [])]
    return "\n\n".join(["## Against published figures", markdown_table(table, _TEXT_COLUMNS), *notes])


def _row(pair: CaseRow) -> dict[str, str]:
    here = at_steps(pair, pair["steps_published"])
    return {
        "Case": label(pair),
        "GPU": plain(gpu_with_count(pair)),
        "Offload": plain(pair["offload"]),
        "Compile": plain(pair["compile"]),
        "Steps": str(pair["steps"]),
        "Published GPU": plain(pair["gpu"] if pair["gpus"] == 1 else f"{pair['gpus']} x {pair['gpu']}"),
        "Software": plain(pair["software"]),
        "Published steps": str(pair["steps_published"]),
        "s/step": step_text(pair),
        "Published s/step": fixed(pair["s_per_step"]),
        "s/step ratio": fixed(_ratio(pair["step_s"], pair["s_per_step"])),
        "Generation": warmth(pair),
        "Total(s)": scaled_text(here.time_s, here.scaled),
        "Published total(s)": fixed(pair["total_s"]),
        "Total ratio": fixed(_ratio(here.time_s, pair["total_s"])),
        "Mem(GB)": gigabytes(pair["gpu_mem_allocated_bytes"]),
        "Published mem(GB)": fixed(pair["peak_gb"]),
        "Energy(kJ)": scaled_text(here.energy_j, here.scaled, scale=1e-3),
        "Published energy(kJ)": fixed(pair["energy_kj"]),
        "Published note": plain(pair["note"]),
        "Source": plain(pair["source"]),
    }


def _ratio(here: float | None, published: float | None) -> float | None:
    return None if pd.isna(here) or pd.isna(published) else here / published
