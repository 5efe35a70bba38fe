"""Ways to make a video: which cases belong together, and what others published of them."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from example_cases import tiny_case
from reports import NO_PRICES, case_trace, full_case, settings_of, tables
from traces import GPU, gpu_with
from wanbench.analysis.settings_table import Prices
from wanbench.measure.outcome import Outcome
from wanbench.models.facts import MODELS
from wanbench.registry.settings import SETTINGS
from wanbench.report.published import published_pairs, read_published
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace

GB = 1_000_000_000
Make = Callable[..., Trace]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def rows(*traces: Trace, prices: Prices = NO_PRICES) -> dict[str, Any]:
    """The rows by the names of their cases."""
    return {row.cases: row for row in settings_of(*traces, prices=prices).itertuples()}


def test_equal_settings_are_one_row_with_the_range_of_their_times(make: Make) -> None:
    times = {"a": 2.0, "b": 2.1, "c": 2.5}
    cold = [make(full_case(name, steps=4), step_s) for name, step_s in times.items()]
    (row,) = rows(*cold).values()
    assert (row.n, row.printed, row.fidelity, row.kind, row.scaled) == (3, "stock", "exact", "cold", True)
    assert (row.time_s, row.time_min_s, row.time_max_s) == pytest.approx((109.75, 104.75, 129.75))
    # Warm generations are taken where all that is compared has one.
    repeated = make(full_case("warm", steps=4, repeats=2), 1.5)
    (row,) = rows(*cold, repeated).values()
    assert (row.kind, row.n, row.time_s) == ("warm", 1, pytest.approx(79.75))
    both = rows(*cold, repeated, make(full_case("other", steps=4, offload="model"), 2.0)).values()
    assert {(row.kind, row.n) for row in both} == {("cold", 4), ("cold", 1)}
    both = rows(*cold, repeated, make(full_case("other", steps=4, offload="model", repeats=2), 2.0)).values()
    assert {(row.kind, row.n) for row in both} == {("warm", 1)}
    # One that did not fit has no generation, and its way a cold one.
    oom = make(full_case("oom", steps=4), until="Step_0", outcome=Outcome("oom", "no memory", "OutOfMemoryError"))
    both = rows(*cold, oom, make(full_case("other", steps=4, offload="model", repeats=2), 2.0)).values()
    assert {(row.kind, row.n) for row in both} == {("cold", 3), ("cold", 1)}


def test_another_video_or_another_gpu_is_another_row_and_a_lora_is_none(make: Make) -> None:
    others = [{"task": "i2v"}, {"size": "704*1280"}, {"frames": 81}, {"guidance": 4}, {"weights": "pretrained"}]
    cases = [full_case(f"other_{i}", steps=3, **other) for i, other in enumerate([{}, *others])]
    # It makes another video, which is not compared.
    lora = replace(full_case("lora", steps=4), lora="fast.safetensors", lora_sha256="0" * 64)
    elsewhere = make(full_case("elsewhere", steps=3), gpu=gpu_with(name="NVIDIA L40S"))
    assert set(rows(*map(make, [*cases, lora]), elsewhere)) == {*(case.name for case in cases), "elsewhere"}
    # What decides no time of a step is the same row.
    alike = {"a": {"seed": 1}, "b": {"prompt": "a bird"}, "c": {"steps": 9}, "d": {}}
    cases = [full_case(name, **{"steps": 3} | other) for name, other in alike.items()]
    assert list(rows(*map(make, cases))) == ["a, b, c, d"]


def test_settings_in_words_and_what_they_do_to_the_video(make: Make) -> None:
    expected: list[tuple[dict[str, Any], str, str | None]] = [
        *(({key: value}, "lossy", None) for key, row in SETTINGS.items() for value in row.lossy if value != "sage_hub"),
        ({"dtype": "float32"}, "rounding", "dtype: float32"),
        ({"offload": "model", "compile": "repeated_blocks"}, "rounding", "offload: model, compile: repeated_blocks"),
        ({"offload": "group_stream"}, "exact", "offload: group_stream"),
    ]
    cases = [full_case(f"{i}", steps=3, weights="pretrained", **setting) for i, (setting, *_) in enumerate(expected)]
    found = rows(*map(make, cases))
    for case, (_, fidelity, printed) in zip(cases, expected):
        assert found[case.name].fidelity == fidelity, case
        assert printed is None or found[case.name].printed == f"weights: pretrained, {printed}"


def test_cases_that_say_nothing_of_real_models_are_no_rows(make: Make) -> None:
    """Tiny ones, those on the CPU, with a failed check, and caches that served random weights."""
    cpu = GPU | {"device": "cpu", "gpu": None}
    cached = full_case("cached", steps=3, cache="first_block", cache_threshold=0.1)
    nothing = [
        make(replace(tiny_case(), name="tiny")),
        make(full_case("cpu", steps=3, weights="pretrained"), gpu=cpu),
        make(full_case("doubtful", steps=9), unnamed_s=3.0),
        make(cached),
    ]
    assert rows(*nothing) == {}
    assert set(rows(make(full_case("real", steps=3)), *nothing)) == {"real"}
    assert set(rows(make(replace(cached, weights="pretrained", scale=None)))) == {"cached"}


def test_compilation_is_beside_the_time_and_without_a_typical_step_there_is_none_at_other_steps(make: Make) -> None:
    row = rows(make(full_case("one", compile="repeated_blocks"), compile_s=30.0))["one"]
    assert (row.time_s, row.compilation_s, row.scaled) == (pytest.approx(104.75), 30.0, False)
    row = rows(make(full_case("one", steps=1)))["one"]
    assert (pd.isna(row.time_s), row.fits) == (True, True)


def test_energy_and_cost_are_of_one_video_at_the_official_steps(make: Make) -> None:
    energy = {r"Step_\d_Inference|VAE.*|Video.*": {"energy_j": 1210.0}}
    known = make(full_case("known", steps=3), 40.0, measures=energy)
    unknown = make(full_case("unknown", steps=3, offload="model"))
    found = rows(known, unknown, prices=Prices("EUR", gpu_hour=3.6, kwh=1.0, co2_g_per_kwh=100))
    row = found["known"]
    # 52 times 1210 J: 50 steps, decoding and export.
    assert row.energy_j == pytest.approx(62_920)
    assert row.cost == pytest.approx(row.time_s * 3.6 / 3600 + 62_920 / 3.6e6)
    assert row.co2_g == pytest.approx(62_920 / 3.6e6 * 100)
    assert row.videos_per_hour == pytest.approx(3600 / row.time_s)
    assert pd.isna(found["unknown"].energy_j)
    assert pd.isna(rows(known)["known"].cost)
    two = rows(make(full_case("two", gpus=2)), prices=Prices(gpu_hour=1.0))["two"]
    assert two.cost == pytest.approx(two.time_s * 2 / 3600)


HERE = {"model": "TI2V-5B", "task": "t2v", "gpu": "H200", "gpus": 1, "size": "1280*704", "frames": 121, "steps": 50}
HERE |= {"software": "some_engine", "total_s": 120.0, "s_per_step": 1.6, "peak_gb": 50.0, "energy_kj": None}
HERE |= {"kind": "eager", "lossy": "no", "note": "mean | warm", "source": "a | b"}


def beside(traces: list[Trace], *changes: dict[str, Any]) -> list[dict[str, str]]:
    published = pd.DataFrame([HERE | change for change in changes or [{}]])
    shown = {"published": published_pairs(settings_of(*traces), published), "alike_pct": 2.5}
    found = tables(rendered("published.md.j2", view=shown), "Settings")
    return found[0] if found else []


def test_the_file_is_read_and_what_a_source_does_not_say_is_absent() -> None:
    published = read_published()
    assert set(published["model"]) > set(MODELS)
    (one,) = published.query("software == 'SGLang-diffusion fork' and gpus == 1").itertuples()
    assert (one.s_per_step, one.peak_gb) == (1.95, 53.2)
    assert pd.isna(one.total_s)
    # What is not bfloat16, or says that it left work out, is not bfloat16's dense video.
    assert set(published.query("lossy == 'no'")["precision"]) == {"bf16"}
    assert set(published[published["note"].str.contains("lossy:")]["lossy"]) == {"yes"}


def test_what_is_compared(make: Make) -> None:
    # What differs in steps, GPU or software is what the comparison is about.
    other = {"steps": 20, "gpu": "B200", "software": "another"}
    for settings, change, is_compared in (
        ({}, other, True),
        *(({}, {key: value}, False) for key, value in {"model": "T2V-A14B", "size": "704*1280", "frames": 81}.items()),
        ({}, {"gpus": 2}, False),
        ({"gpus": 2}, {"gpus": 2}, True),
        ({"task": "i2v"}, {}, False),
        ({"task": "i2v"}, {"task": "i2v"}, True),
        # Without guidance a step is half the work; of a cache with random weights no time is true.
        ({"guidance": 1}, {}, False),
        ({"cache": "first_block"}, {}, False),
    ):
        found = beside([make(full_case(steps=3, **settings))], change)
        assert bool(found) == is_compared, (settings, change)


def test_of_one_gpu_the_same_kind_is_nearest_and_lossy_is_last(make: Make) -> None:
    traces = [make(full_case("stock", steps=3)), make(full_case("compiled", steps=3, compile="repeated_blocks"), 1.5)]

    def chosen(*changes: dict[str, Any]) -> list[str]:
        return [row["Software"] for row in beside(traces, *changes)]

    kinds = [{"kind": kind, "software": kind} for kind in ("official", "compiled", "eager")]
    unclear, lossy = {"lossy": "not stated", "software": "unclear"}, {"lossy": "yes", "software": "pruned"}
    assert chosen(*kinds) == ["compiled", "eager"]
    assert chosen(lossy, unclear, kinds[0]) == ["official"] * 2
    assert chosen(lossy, unclear) == ["unclear"] * 2
    assert chosen(lossy) == ["pruned (lossy)"] * 2
    assert chosen({"steps": 20, "software": "short"}, {"software": "whole"}) == ["whole"] * 2
    assert chosen({"steps": math.nan, "software": "no steps"}, kinds[0]) == ["official"] * 2
