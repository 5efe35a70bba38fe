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
    ("change", "count"),
    [
        ({}, 1),
        ({"model": "T2V-A14B"}, 0),
        ({"task": "i2v"}, 0),
        ({"size": "704*1280"}, 0),
        ({"frames": 81}, 0),
        ({"gpus": 2}, 0),
        # What differs otherwise is what the comparison is about.
        ({"steps": 20, "gpu": "B200", "software": "another"}, 1),
    ],
)
def test_model_task_size_frames_and_number_of_gpus_must_be_the_same(
    make: Make, change: dict[str, Any], count: int
) -> None:
    assert found(make(full_case(steps=3)), **change) == count


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


def test_image_to_video_is_compared_with_image_to_video(make: Make) -> None:
    image = make(full_case(task="i2v", steps=3))
    assert (found(image), found(image, task="i2v")) == (0, 1)


def test_tiny_models_and_failed_cases_are_not_compared(make: Make, tmp_path: Path) -> None:
    case = tiny_case()
    assert found(make(case), size=case.size, frames=case.frames) == 0
    rows = records([2.0] * 3, environment=GPU, case=full_case(steps=3))
    failed = read_back(tmp_path, rows[:-1], case=full_case(steps=3), outcome=Outcome("oom", "CUDA out of memory"))
    assert found(failed) == 0
    assert found(make(full_case(steps=3, weights="pretrained"))) == 1


def test_without_guidance_a_step_is_half_the_work_and_not_compared(make: Make) -> None:
    assert found(make(full_case(steps=3, guidance=1))) == 0
    assert found(make(full_case(steps=3, guidance=1.5))) == 1


# --- figures ----------------------------------------------------------------------------------------------------


def test_a_warm_generation_of_as_many_steps_is_compared_as_it_is(make: Make) -> None:
    cells = row(make(full_case(repeats=2), step_s=1.5, compile_s=20.0))
    assert (cells["Generation"], cells["Total(s)"], cells["Total ratio"]) == ("warm", "79.75", "0.66")
    assert (cells["s/step"], cells["Published s/step"], cells["s/step ratio"]) == ("1.50", "1.60", "0.94")


def test_a_single_generation_is_cold_and_its_compilation_is_not_compared(make: Make) -> None:
    cells = row(make(full_case(), step_s=1.5, compile_s=20.0))
    assert (cells["Generation"], cells["Total(s)"]) == ("cold", "79.75")


@pytest.mark.parametrize(("steps", "total"), [(3, "104.75 (scaled)"), (60, "104.75 (scaled)"), (50, "104.75")])
def test_other_steps_are_brought_to_those_published(make: Make, steps: int, total: str) -> None:
    assert row(make(full_case(steps=steps)))["Total(s)"] == total


def test_a_single_typical_step_is_marked(make: Make) -> None:
    assert row(make(full_case(steps=2)))["s/step"] == "2.00 (1 step)"
    assert row(make(full_case(steps=3)))["s/step"] == "2.00"


def test_without_a_typical_step_nothing_is_scaled(make: Make) -> None:
    cells = row(make(full_case(steps=1)))
    assert (cells["s/step"], cells["s/step ratio"]) == ("n/a", "n/a")
    assert (cells["Total(s)"], cells["Total ratio"]) == ("n/a", "n/a")
    assert row(make(full_case(steps=1)), steps=1)["Total(s)"] == "6.75"


def test_what_a_source_does_not_say_is_not_derived(make: Make) -> None:
    cells = row(make(full_case(steps=3)), s_per_step=None, total_s=None, peak_gb=None)
    for column in ("s/step", "total", "mem"):
        assert next(text for name, text in cells.items() if name.startswith(f"Published {column}")) == "n/a"
    assert cells["s/step ratio"] == cells["Total ratio"] == "n/a"
    only_total = row(make(full_case(steps=3)), s_per_step=None)
    assert (only_total["Published s/step"], only_total["Published total(s)"]) == ("n/a", "120.00")


def test_what_a_source_says_of_its_figures_is_printed(make: Make) -> None:
    """A mean of warm generations is not what a cold one is to be held against unsaid."""
    trace = make(full_case(steps=3))
    assert row(trace, note="mean after warm-up")["Published note"] == "mean after warm-up"
    assert row(trace, note="")["Published note"] == ""


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
    assert "(lossy): a setting of the case changes the video" in section(vae_tiling=True)
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


def test_a_cache_with_random_weights_stands_beside_no_published_figure(make: Make) -> None:
    cache = {"cache": "first_block", "cache_threshold": 0.1}
    cached = make(full_case("cached", **cache))
    assert against_published(cases_table([cached]), figures()) is None
    real = make(full_case("real", weights="pretrained", **cache))
    assert "| real (lossy) " in against_published(cases_table([real]), figures())
