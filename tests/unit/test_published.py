"""The cases beside published figures: only what compares, and no figure that nobody measured."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from example_cases import tiny_case
from reports import case_trace, content_from, full_case, read_back, report, tables, with_measures
from traces import GPU, records, write
from wanbench.analysis.tables import cases_table, details_table, excluded_table, stages_table, write_table
from wanbench.measure.outcome import Outcome
from wanbench.models.facts import MODELS
from wanbench.report.markdown import to_markdown
from wanbench.report.published import against_published, pairs, read_published
from wanbench.trace.reader import Trace, read_trace

Make = Callable[..., Trace]

HERE = {
    "model": "TI2V-5B",
    "task": "t2v",
    "gpu": "H200",
    "gpus": 1,
    "size": "1280*704",
    "frames": 121,
    "steps": 50,
    "software": "some_engine",
    "total_s": 120.0,
    "s_per_step": 1.6,
    "peak_gb": 50.0,
    "energy_kj": None,
    "note": "mean | warm",
    "source": "a | b",
}


def figures(*changes: dict[str, Any]) -> pd.DataFrame:
    """Published figures, each with something changed."""
    return pd.DataFrame([HERE | change for change in changes or [{}]])


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def row(trace: Trace, **change: Any) -> dict[str, str]:
    """The only row of the table."""
    ((found,),) = tables(against_published(cases_table([trace]), figures(change)), "Case")
    return found


def found(trace: Trace, **change: Any) -> int:
    return len(pairs(cases_table([trace]), figures(change)))


# --- the file ---------------------------------------------------------------------------------------------------


def test_the_file_is_read_and_what_a_source_does_not_say_is_absent() -> None:
    published = read_published()
    assert len(published) == 19
    assert set(published["model"]) == set(MODELS)
    assert set(published["task"]) == {"t2v", "i2v"}
    (one,) = published.query("software == 'SGLang-diffusion fork' and gpus == 1").itertuples()
    assert (one.s_per_step, one.peak_gb) == (1.95, 53.2)
    assert pd.isna(one.total_s)
    assert pd.isna(one.energy_kj)
    assert one.note.endswith("synchronised stages; warm")


# --- which cases and figures belong together --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "change", "count"),
    [
        ({}, {}, 1),
        ({}, {"model": "T2V-A14B"}, 0),
        ({}, {"task": "i2v"}, 0),
        ({"task": "i2v"}, {}, 0),
        ({"task": "i2v"}, {"task": "i2v"}, 1),
        ({}, {"size": "704*1280"}, 0),
        ({}, {"frames": 81}, 0),
        ({}, {"gpus": 2}, 0),
        # What differs otherwise is what the comparison is about.
        ({}, {"steps": 20, "gpu": "B200", "software": "another"}, 1),
        ({"weights": "pretrained"}, {}, 1),
        # Without guidance a step is half the work; of a cache with random weights no time is true.
        ({"guidance": 1}, {}, 0),
        ({"guidance": 1.5}, {}, 1),
        ({"cache": "first_block"}, {}, 0),
        ({"cache": "first_block", "weights": "pretrained"}, {}, 1),
    ],
)
def test_what_is_compared(make: Make, settings: dict[str, Any], change: dict[str, Any], count: int) -> None:
    assert found(make(full_case(steps=3, **settings)), **change) == count


def test_figures_of_the_same_gpu_stand_first(make: Make) -> None:
    gpus = ("RTX 4090", "H20", "GH200", "H100/H200", "B200", "H200", "H800/H100")
    published = figures(*({"gpu": gpu} for gpu in gpus))

    def order(name: str) -> list[str]:
        trace = make(full_case(steps=3), gpu=GPU | {"gpu": GPU["gpu"] | {"name": name}})
        return [pair["gpu"] for pair in pairs(cases_table([trace]), published)]

    assert order("NVIDIA H200")[:3] == ["H100/H200", "H200", "RTX 4090"]
    assert order("NVIDIA H100 80GB HBM3")[:3] == ["H100/H200", "H800/H100", "RTX 4090"]
    assert order("NVIDIA GeForce RTX 4090")[:2] == ["RTX 4090", "H20"]
    assert order("NVIDIA RTX A4000") == list(gpus)


def test_tiny_models_and_failed_cases_are_not_compared(make: Make, tmp_path: Path) -> None:
    case = tiny_case()
    assert found(make(case), size=case.size, frames=case.frames) == 0
    rows = records([2.0] * 3, environment=GPU, case=full_case(steps=3))
    failed = read_back(tmp_path, rows[:-1], case=full_case(steps=3), outcome=Outcome("oom", "CUDA out of memory"))
    assert found(failed) == 0


# --- figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "run", "published_steps", "cells"),
    [
        ({"repeats": 2}, {"step_s": 1.5, "compile_s": 20.0}, 50, ("warm", "1.50", "0.94", "79.75", "0.66")),
        # A single generation is cold, and without its compilation.
        ({}, {"step_s": 1.5, "compile_s": 20.0}, 50, ("cold", "1.50", "0.94", "79.75", "0.66")),
        ({"steps": 3}, {}, 50, ("cold", "2.00", "1.25", "104.75 (scaled)", "0.87")),
        ({"steps": 60}, {}, 50, ("cold", "2.00", "1.25", "104.75 (scaled)", "0.87")),
        ({"steps": 2}, {}, 50, ("cold", "2.00 (1 step)", "1.25", "104.75 (scaled)", "0.87")),
        # Without a typical step nothing is scaled.
        ({"steps": 1}, {}, 50, ("cold", "n/a", "n/a", "n/a", "n/a")),
        ({"steps": 1}, {}, 1, ("cold", "n/a", "n/a", "6.75", "0.06")),
    ],
)
def test_one_generation_without_compilation_is_brought_to_the_published_steps(
    make: Make, settings: dict[str, Any], run: dict[str, float], published_steps: int, cells: tuple[str, ...]
) -> None:
    shown = row(make(full_case(**settings), **run), steps=published_steps)
    columns = ("Generation", "s/step", "s/step ratio", "Total(s)", "Total ratio")
    assert tuple(shown[column] for column in columns) == cells


def test_what_a_source_does_not_say_is_not_derived(make: Make) -> None:
    cells = row(make(full_case(steps=3)), s_per_step=None, total_s=None, peak_gb=None)
    for column in ("s/step", "total", "mem"):
        assert next(text for name, text in cells.items() if name.startswith(f"Published {column}")) == "n/a"
    assert cells["s/step ratio"] == cells["Total ratio"] == "n/a"
    only_total = row(make(full_case(steps=3)), s_per_step=None, note="")
    assert (only_total["Published s/step"], only_total["Published total(s)"]) == ("n/a", "120.00")
    assert only_total["Published note"] == ""


def test_energy_is_compared_where_a_source_has_it(make: Make, tmp_path: Path) -> None:
    assert "Energy(kJ)" not in row(make(full_case(steps=3)))
    case = full_case(steps=3)
    rows = records([40.0] * 3, environment=GPU, case=case)
    trace = read_trace(
        write(tmp_path, with_measures(rows, r"Step_\d_Inference|VAE.*|Video.*", {"energy_j": 2e3}, case=case))
    )
    cells = row(trace, energy_kj=90.0)
    assert (cells["Energy(kJ)"], cells["Published energy(kJ)"]) == ("104.00 (scaled)", "90.00")


def test_a_lossy_case_is_marked_and_explained(make: Make) -> None:
    def section(**settings: Any) -> str:
        return against_published(cases_table([make(full_case(steps=3, **settings))]), figures())

    assert "| full (lossy) " in section(vae_tiling=True)
    assert "(lossy): " in section(vae_tiling=True)
    assert "lossy" not in section(compile="repeated_blocks")


# --- the section ------------------------------------------------------------------------------------------------


def test_the_section_stands_between_summary_and_cases_and_only_where_it_has_a_row(make: Make) -> None:
    def text(trace: Trace) -> str:
        tables = cases_table([trace]), stages_table([trace]), details_table([trace]), excluded_table([])
        return to_markdown(content_from(*tables, figures()))

    full = text(make(full_case(steps=3)))
    assert full.index("| Case ") < full.index("## Against published figures") < full.index("# Detailed Breakdown")
    assert "Against published figures" not in text(make(tiny_case()))
    assert "Against published figures" not in report(make(full_case(steps=3)))


def test_the_section_has_the_same_figures_from_the_table_as_it_comes_out_of_its_file(
    make: Make, tmp_path: Path
) -> None:
    case = full_case("fast", steps=4, compile="repeated_blocks", repeats=2)
    cases = cases_table([make(case, step_s=1.75, compile_s=12.0, peak_bytes=48_000_000_000)])
    write_table(cases, tmp_path / "cases.csv", tmp_path / "cases.parquet")
    section = against_published(pd.read_parquet(tmp_path / "cases.parquet"), figures({}, {"task": "i2v"}))
    ((cells,),) = tables(section, "Case")
    assert list(cells.values()) == [
        *("fast", "NVIDIA H200", "none", "repeated\\_blocks", "4", "H200", "some\\_engine", "50"),
        *("1.75", "1.60", "1.09", "warm", "92.25 (scaled)", "120.00", "0.77", "48.00", "50.00"),
        *("mean &#124; warm", "a &#124; b"),
    ]
