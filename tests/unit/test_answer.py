"""The answer: of each workload what to use, and in few enough words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from example_cases import tiny_case
from reports import case_trace, full_case, kept_traces, made, report, settings_of, tables
from wanbench.analysis.answer import answers_of
from wanbench.analysis.settings_table import Prices
from wanbench.report.cells import supported
from wanbench.trace.reader import Trace

GB = 1_000_000_000
Make = Callable[..., Trace]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A case with so much memory allocated, and used on the whole GPU."""

    def run(name: str, step_s: float, allocated_gb: int, used_gb: int, **settings: Any) -> Trace:
        used = {"VAE_Decoding": {"gpu_mem_used_bytes": used_gb * GB}}
        case = full_case(name, steps=4, **settings)
        return made(tmp_path, case, [step_s] * 4, measures=used, peak_bytes=allocated_gb * GB)

    return run


def printed(way: Any) -> str | None:
    return None if way is None else way["printed"]


def test_the_fastest_the_lightest_and_what_fits(make: Make) -> None:
    (answer,) = answers_of(
        settings_of(
            make("stock", 2.0, 47, 60),
            make("compiled", 1.6, 47, 60, compile="repeated_blocks"),
            make("float16", 1.2, 47, 60, dtype="float16"),
            make("offload", 1.9, 25, 40, offload="model"),
            make("sequential", 6.0, 20, 23, offload="sequential"),
            make("two", 1.0, 47, 60, gpus=2),
        ),
        alike_time_pct=2,
        alike_memory_pct=2,
    )
    assert printed(answer["fastest"]) == "compile: repeated_blocks"
    assert printed(answer["lossy"]) == "dtype: float16"
    assert printed(answer["light"]) == "offload: model"
    assert printed(answer["several"]) == "gpus: 2"
    cards = {size: (printed(fit["fits"]), printed(fit["may_fit"])) for size, fit in answer["cards"].items()}
    assert cards == {
        24: ("offload: sequential", None),
        48: ("offload: model", "compile: repeated_blocks"),
        80: ("compile: repeated_blocks", None),
    }


def test_a_lossy_way_is_named_only_where_it_is_faster_or_nothing_else_fits(make: Make) -> None:
    stock, tiling = make("stock", 2.0, 47, 60), make("tiling", 2.1, 30, 40, vae_tiling=True)
    (answer,) = answers_of(settings_of(stock, tiling), alike_time_pct=2, alike_memory_pct=2)
    assert answer["lossy"] is None
    assert printed(answer["cards"][48]["fits"]) == "vae_tiling: true"
    assert printed(answer["cards"][80]["fits"]) == "stock"
    (answer,) = answers_of(settings_of(stock, make("float16", 1.97, 47, 60, dtype="float16")), 2, 2)
    assert answer["lossy"] is None


def test_cards_as_large_as_the_gpu_are_no_question(make: Make) -> None:
    def cards(total_gb: int) -> set[int]:
        table = settings_of(make("stock", 2.0, 20, 22)).assign(gpu_mem_total_bytes=total_gb * GB)
        (answer,) = answers_of(table, alike_time_pct=2, alike_memory_pct=2)
        return set(answer["cards"])

    assert (cards(24), cards(80), cards(150)) == (set(), {24, 48}, {24, 48, 80})


@pytest.mark.parametrize(
    ("value", "spread", "text"), [(108.18, 0.025, "108"), (930.57, 0.025, "930"), (45.5, 0.003, "45.5"), (0.0, 1, "0")]
)
def test_as_many_digits_as_the_spread_supports(value: float, spread: float, text: str) -> None:
    assert supported(value, spread) == text


def test_the_answer_of_the_kept_cases_stands_first() -> None:
    text = report(*kept_traces(), prices=Prices("USD", gpu_hour=3.6))
    answer = tables(text, "To make")[0]
    assert text.index("## The answer") < text.index("| Case ")
    assert [row["To make"] for row in answer][:2] == ["TI2V-5B i2v 1280\\*704", "TI2V-5B t2v 1280\\*704"]
    settings, figures = answer[1]["Fastest"].split(": 96 s warm, ")
    assert all(word in settings for word in ("xformers", r"repeated\_blocks", "uniform", r"channels\_last"))
    assert figures == "56.7 GB, 37.6 videos/h, 18 Wh, 0.10 USD, 12 s to compile once"
    assert "±" in text.split("## Which settings to use")[1]
    # In the first screen of a file: a table of one row a workload, and few lines below it.
    assert len(text.split("## Summary")[0].splitlines()) < 20


def test_a_grid_of_tiny_cases_says_that_everything_works(tmp_path: Path) -> None:
    head = report(case_trace(tmp_path, tiny_case())).split("## Summary")[0]
    assert "**Everything works.** 1 case ok." in head
    assert "|" not in head
    doubtful = report(case_trace(tmp_path, tiny_case(steps=9), unnamed_s=9.0)).split("## Summary")[0]
    assert "Everything works" not in doubtful
    assert "1 failed a check (tiny)" in doubtful
