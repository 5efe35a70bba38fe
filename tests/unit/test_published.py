"""Settings beside published figures: only what compares, and no figure that nobody measured."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from example_cases import tiny_case
from reports import case_trace, full_case, settings_of, tables
from traces import GPU
from wanbench.models.facts import MODELS
from wanbench.report.published import published_pairs, read_published
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace

Make = Callable[..., Trace]
HERE = {"model": "TI2V-5B", "task": "t2v", "gpu": "H200", "gpus": 1, "size": "1280*704", "frames": 121, "steps": 50}
HERE |= {"software": "some_engine", "total_s": 120.0, "s_per_step": 1.6, "peak_gb": 50.0, "energy_kj": None}
HERE |= {"kind": "eager", "lossy": "no", "note": "mean | warm", "source": "a | b"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def rows(traces: list[Trace], *changes: dict[str, Any]) -> list[dict[str, str]]:
    published = pd.DataFrame([HERE | change for change in changes or [{}]])
    shown = {"published": published_pairs(settings_of(*traces), published), "alike_pct": 2.5}
    found = tables(rendered("published.md.j2", view=shown), "Settings")
    return found[0] if found else []


def test_the_file_is_read_and_what_a_source_does_not_say_is_absent() -> None:
    published = read_published()
    assert len(published) == 93
    assert set(published["model"]) > set(MODELS)
    assert set(published["task"]) == {"t2v", "i2v"}
    (one,) = published.query("software == 'SGLang-diffusion fork' and gpus == 1").itertuples()
    assert (one.s_per_step, one.peak_gb) == (1.95, 53.2)
    assert pd.isna(one.total_s)
    assert set(published["kind"]) == {"eager", "compiled", "official"}
    # What is not bfloat16, or says that it left work out, is not bfloat16's dense video.
    assert set(published.query("lossy == 'no'")["precision"]) == {"bf16"}
    assert set(published[published["note"].str.contains("lossy:")]["lossy"]) == {"yes"}


def test_what_is_compared(make: Make) -> None:
    for settings, counts in (
        # What differs in steps, GPU or software is what the comparison is about.
        (
            {},
            {"steps: 20, gpu: B200, software: another": 1, "model: T2V-A14B": 0, "size: 704*1280": 0, "frames: 81": 0},
        ),
        ({}, {"": 1, "gpus: 2": 0}),
        ({"task": "i2v"}, {"": 0, "task: i2v": 1}),
        ({"gpus": 2}, {"gpus: 2": 1}),
        ({"weights": "pretrained"}, {"": 1}),
        # Without guidance a step is half the work; of a cache with random weights no time is true.
        ({"guidance": 1}, {"": 0}),
        ({"cache": "first_block"}, {"": 0}),
    ):
        trace = make(full_case(steps=3, **settings))
        for change, count in counts.items():
            assert len(rows([trace], yaml.safe_load(f"{{{change}}}"))) == count, (settings, change)
    assert rows([make(tiny_case())]) == []


def test_a_setting_stands_beside_the_nearest_hardware(make: Make) -> None:
    def nearest(name: str) -> str:
        trace = make(full_case(steps=3), gpu=GPU | {"gpu": GPU["gpu"] | {"name": name}})
        (row,) = rows([trace], *({"gpu": gpu} for gpu in ("RTX 4090", "GH200", "H800/H100", "H200")))
        return row["Published on"]

    assert nearest("NVIDIA H200") == "H200"
    assert nearest("NVIDIA H100 80GB HBM3") == "H800/H100"
    assert nearest("NVIDIA GeForce RTX 4090") == "RTX 4090"
    # None of its own: the rate of matrix products decides, and one that nobody knows is last.
    assert nearest("NVIDIA L40S") == "RTX 4090"
    assert nearest("NVIDIA B200") == "H800/H100"
    assert nearest("NVIDIA of tomorrow") == "RTX 4090"


def test_of_one_gpu_the_same_kind_is_nearest_and_lossy_is_last(make: Make) -> None:
    traces = [make(full_case("stock", steps=3)), make(full_case("compiled", steps=3, compile="repeated_blocks"), 1.5)]

    def chosen(*changes: dict[str, Any]) -> list[str]:
        return [row["Software"] for row in rows(traces, *changes)]

    kinds = [{"kind": kind, "software": kind} for kind in ("official", "compiled", "eager")]
    unclear, lossy = {"lossy": "not stated", "software": "unclear"}, {"lossy": "yes", "software": "pruned"}
    assert chosen(*kinds) == ["compiled", "eager"]
    assert chosen(lossy, unclear, kinds[0]) == ["official"] * 2
    assert chosen(lossy, unclear) == ["unclear"] * 2
    assert chosen(lossy) == ["pruned (lossy)"] * 2
    assert chosen({"steps": 20, "software": "short"}, {"software": "whole"}) == ["whole"] * 2
    assert chosen({"steps": math.nan, "software": "no steps"}, kinds[0]) == ["official"] * 2


def test_the_stock_settings_and_the_fastest_are_shown(make: Make) -> None:
    runs = {"stock": {}, "compiled": {"compile": "repeated_blocks"}, "offload": {"offload": "model"}}
    times = {"stock": 2.0, "compiled": 1.5, "offload": 2.5}
    found = rows([make(full_case(name, steps=4, **settings), times[name]) for name, settings in runs.items()])
    assert [row["Settings"] for row in found] == ["compile: repeated\\_blocks", "stock"]


def test_times_are_brought_to_the_published_steps(make: Make) -> None:
    (row,) = rows([make(full_case(steps=3))], {"steps": 20, "total_s": 50.0})
    assert (row["Time (s)"], row["Published (s)"], row["Time ratio"]) == ("45", "50.0", "0.90")
    assert (row["s/step"], row["Published s/step"], row["Step ratio"]) == ("2.00", "1.60", "1.25")
    assert row["Source"] == "a &#124; b, mean &#124; warm"


def test_what_a_source_does_not_say_is_no_column(make: Make) -> None:
    (row,) = rows([make(full_case(steps=3))], {"total_s": math.nan, "peak_gb": math.nan})
    assert not {"Published (s)", "Time ratio", "Published (GB)"} & set(row)
