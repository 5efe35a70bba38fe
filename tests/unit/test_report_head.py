"""The head of a report: of each workload what to use, in few enough words, and the summary of all cases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from example_cases import tiny_case
from reports import (
    case_trace,
    full_case,
    made,
    made_tables,
    report,
    settings_of,
    table_of_findings,
)
from wanbench.analysis.answer import answers_of
from wanbench.measure.outcome import Outcome
from wanbench.report.grid_outcome import cases_by_outcome
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace

GB = 1_000_000_000
Make = Callable[..., Trace]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A case with so much memory allocated, used on the whole GPU, and of that used beside torch's allocator."""

    def run(name: str, step_s: float, allocated_gb: int, used_gb: int, beside_gb: int = 1, **settings: Any) -> Trace:
        reserved_bytes = (used_gb - beside_gb) * GB
        used = {"VAE_Decoding": {"gpu_mem_used_bytes": used_gb * GB, "gpu_mem_reserved_bytes": reserved_bytes}}
        case = full_case(name, steps=4, **settings)
        return made(tmp_path, case, [step_s] * 4, measures=used, peak_bytes=allocated_gb * GB)

    return run


def printed(way: Any) -> str | None:
    return None if way is None else way["printed"]


def test_a_lossy_way_is_named_only_where_it_is_faster_or_nothing_else_fits(make: Make) -> None:
    stock, tiling = make("stock", 2.0, 47, 60), make("tiling", 2.1, 30, 40, vae_tiling=True)
    (answer,) = answers_of(settings_of(stock, tiling), alike_time_pct=2, alike_memory_pct=2)
    assert answer["lossy"] is None
    assert printed(answer["cards"][48]["fits"]) == "vae_tiling: true"
    assert printed(answer["cards"][80]["fits"]) == "stock"
    (answer,) = answers_of(settings_of(stock, make("float16", 1.97, 47, 60, dtype="float16")), 2, 2)
    assert answer["lossy"] is None


def test_what_cuda_takes_beside_torch_must_fit_too(make: Make) -> None:
    for beside_gb, may_fit in ((1, "stock"), (2, None)):
        (answer,) = answers_of(settings_of(make("stock", 2.0, 47, 60, beside_gb)), 2, 2)
        assert printed(answer["cards"][48]["may_fit"]) == may_fit


def test_memory_that_only_the_allocator_holds_is_no_reason_to_be_slower(make: Make) -> None:
    stock, compiled = make("stock", 2.0, 47, 57), make("compiled", 1.8, 47, 60, compile="repeated_blocks")
    (answer,) = answers_of(settings_of(stock, compiled), alike_time_pct=2, alike_memory_pct=2)
    assert printed(answer["light"]) == printed(answer["fastest"]) == "compile: repeated_blocks"


def test_what_fits_surely_is_not_named_beside_the_same_that_may_fit(make: Make) -> None:
    limited = make("limited", 2.01, 45, 47, gpu_memory_gb=48)
    (answer,) = answers_of(settings_of(make("stock", 2.0, 45, 60), limited), alike_time_pct=2, alike_memory_pct=2)
    assert (printed(answer["cards"][48]["fits"]), answer["cards"][48]["may_fit"]) == ("stock", None)


def test_without_the_memory_of_torch_there_is_an_answer(make: Make) -> None:
    table = settings_of(make("stock", 2.0, 47, 60), make("slower", 2.1, 40, 50, offload="model"))
    (answer,) = answers_of(table.assign(gpu_mem_allocated_bytes=None), alike_time_pct=2, alike_memory_pct=2)
    assert (printed(answer["fastest"]), printed(answer["light"])) == ("stock", "offload: model")
    # Of cards as large as the GPU nobody asks.
    (answer,) = answers_of(table.assign(gpu_mem_total_bytes=80 * GB), alike_time_pct=2, alike_memory_pct=2)
    assert set(answer["cards"]) == {24, 48}


def test_the_answer_for_a_card_does_not_hold_it_to_its_own_memory(make: Make) -> None:
    limited = make("limited", 3.0, 12, 20, offload="group_stream", gpu_memory_gb=24)
    (answer,) = answers_of(settings_of(make("stock", 2.0, 47, 60), limited), alike_time_pct=2, alike_memory_pct=2)
    assert printed(answer["cards"][24]["fits"]) == "offload: group_stream"


def test_a_grid_of_tiny_cases_says_that_everything_works(tmp_path: Path) -> None:
    head = report(case_trace(tmp_path, tiny_case())).split("## Summary")[0]
    assert "**Everything works.** 1 case ok." in head
    assert "|" not in head
    doubtful = report(case_trace(tmp_path, tiny_case(steps=9), unnamed_s=9.0)).split("## Summary")[0]
    assert "Everything works" not in doubtful
    assert "1 failed a check (tiny)" in doubtful


def test_cases_are_counted_and_doubtful_ones_are_named_at_the_head_and_at_the_end_of_a_run(tmp_path: Path) -> None:
    def in_words(*traces: Trace) -> str:
        outcome = cases_by_outcome(made_tables(*traces).cases, table_of_findings(*traces))
        return rendered("counts.j2", outcome=outcome, written="visible")

    ok = case_trace(tmp_path, full_case("a"))
    # Half of the machine was somebody else's.
    busy = made(tmp_path, full_case("b_1"), measures={".*": {"cpu_pct": 80.0, "process_cpu_pct": 10.0}})
    changed = made(tmp_path, full_case("c"), [2.0] * 25 + [6.0] * 25)
    killed = made(tmp_path, full_case("killed"), until="VAE_Decoding", outcome=Outcome("killed"))
    assert in_words(ok) == "1 case ok"
    assert in_words(ok, busy) == "2 cases ok, 1 with warnings (b_1)"
    assert in_words(ok, busy, changed, killed) == (
        "3 cases ok, 1 killed (killed), 1 failed a check (c), 1 with warnings (b_1)"
    )
    assert in_words(killed) == "0 cases ok, 1 killed (killed)"
    assert "\n3 cases ok, 1 failed a check (c), 1 with warnings (b\\_1).\n" in report(ok, busy, changed)
    named = {"ok": ["a", "b_1", "c"], "with_failed_checks": ["c"], "with_warnings": ["b_1"]}
    assert cases_by_outcome(made_tables(ok, busy, changed).cases, table_of_findings(ok, busy, changed)) == named
