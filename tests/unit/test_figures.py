"""Figures, findings and tables: every figure true or absent."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from example_cases import tiny_case
from measured_cases import spread
from reports import figures_of, full_case, made, read_back, report, tables, told, with_measures
from traces import GPU, S, records, write
from wanbench.analysis.numbers import escaped_but_code, fixed, plain
from wanbench.analysis.tables import stages_table, write_table
from wanbench.measure.outcome import Outcome
from wanbench.registry import stages as stage_names
from wanbench.telemetry.samples import Samples
from wanbench.trace.reader import Trace, read_trace

Reader = Callable[..., Trace]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return partial(read_back, tmp_path)


def test_seconds_per_step_leave_out_the_first_and_the_switch_step(read: Reader) -> None:
    experts = ["high_noise"] * 3 + ["low_noise"] * 3
    figures = figures_of(read(records([9.0, 2.0, 2.1, 30.0, 2.2, 2.3], experts=experts)))
    assert figures.step_s == pytest.approx(2.15)
    assert figures.first_step_s == 9.0
    assert figures.switch_step_s == 30.0
    assert figures.step_mean_s == pytest.approx(47.6 / 6)
    single = figures_of(read(records([9.0])))
    assert (single.step_s, single.first_step_s, single.switch_step_s) == (None, 9.0, None)


def test_a_mean_that_stands_for_little_of_the_time_is_absent(read: Reader) -> None:
    # One step of 0.15 s is longer than the sampling interval; the other seven, of 0.04 s each, are not.
    trace = read(records([0.04] * 4 + [0.15] + [0.04] * 3))
    assert figures_of(trace).inference_cpu_pct is None
    assert figures_of(read(records([0.2] * 8))).inference_cpu_pct == pytest.approx(25.0)


def test_a_load_of_part_of_the_inference_is_not_the_load_of_all(tmp_path: Path) -> None:
    measured = {r"Step_[01]_Inference": {"sm_activity_pct": 90.0, "comp_load_pct_s": 180.0}}
    assert "Total Inference Load" not in told(made(tmp_path, full_case(steps=3), measures=measured))
    assert "- **Total Inference Load**: 360" in told(made(tmp_path, full_case(steps=2), measures=measured))


def test_with_a_cache_a_step_is_the_mean_of_a_generation(read: Reader) -> None:
    """As 5B_704p_cache: seven steps of 0.12 s and two of 2.4 s have a median that says nothing of a video."""
    case = full_case(steps=5, cache="first_block", cache_threshold=1.0, repeats=2)
    cached = read(records([3.5, 0.1, 0.1, 0.1, 2.5], generations=2, case=case), case=case)
    assert figures_of(cached).step_s == pytest.approx(0.7)
    assert "- **Mean Time per Step**: 0.70 s\n" in told(cached)
    # The comparison judges the same figure; one measured generation tells nothing of how it scatters.
    assert spread(cached)["step_s"] == (pytest.approx(0.7), None)


def test_short_steps_of_two_experts_have_the_energy_of_their_stretches(read: Reader) -> None:
    """The switch between them is too short for an energy as well, and theirs was lost with it."""
    experts = ["high_noise"] * 4 + ["low_noise"] * 4
    rows = records([1.5, *[0.7] * 7], experts=experts, environment=GPU)
    values = [{"cpu_pct": 9.0, "energy_j": 70.0 * i} for i in range(300)]
    source = {"sm_activity_source": "nvml_gpu_utilisation"}
    seen = Samples([round(i * 0.1 * S) for i in range(300)], values, 0.1, 0, source)
    assert figures_of(read(rows, samples=seen)).step_energy_j == pytest.approx(0.7 * 700)


def test_a_step_that_was_cut_short_is_no_step(read: Reader) -> None:
    rows = records([2.0] * 6)
    cut = next(i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == "Step_4")
    trace = read(rows[: cut + 1], outcome=Outcome("killed", "ended by signal SIGKILL"))
    assert figures_of(trace).step_mean_s == 2.0
    text = report(trace)
    assert "**Ended with status killed in Step_4_Inference**: ended by signal SIGKILL" in text
    (stages,) = tables(text, "Stage")
    interrupted = [row["Stage"] for row in stages if row["Interrupted"] == "yes"]
    assert interrupted == ["Step_4_Loading", "Step_4_Inference", "Total_Execution"]
    assert tables(text, "Case")[0][0]["Status"] == "killed"
    assert tables(text, "Case")[0][0]["Check"] == "n/a"


def test_the_first_generation_is_cold_and_figures_are_of_those_after_it_without_compilation(read: Reader) -> None:
    # A warm-up is the cold one as well.
    for generations, warmup in ((4, 0), (3, 2)):
        figures = figures_of(read(records([2.0] * 3, generations=generations, warmup=warmup, compile_s=9.0)))
        assert figures.first_generation_s == pytest.approx(19.75)
        assert figures.generation_s == figures.generation_excl_compilation_s == pytest.approx(10.75)
    figures = figures_of(read(records([2.0] * 3, compile_s=9.0)))
    assert (figures.first_generation_s, figures.generation_s) == (pytest.approx(19.75), None)
    assert figures.generation_excl_compilation_s == pytest.approx(10.75)


def test_a_generation_that_was_cut_short_is_none(read: Reader) -> None:
    rows = records([2.0] * 3, generations=2)
    last = [i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == stage_names.VIDEO_EXPORT][-1]
    killed, oom = Outcome("killed", "ended by signal SIGKILL"), Outcome("oom", "CUDA out of memory")
    trace = read(rows[: last + 1], case=tiny_case(repeats=2), outcome=killed)
    figures = figures_of(trace)
    assert (figures.first_generation_s, figures.generation_s) == (pytest.approx(10.75), None)
    assert "Figures are of 1 of 2 generations" in report(trace)
    decoding = next(i for i, row in enumerate(rows) if row.get("name") == stage_names.VAE_DECODING)
    figures = figures_of(read(rows[: decoding + 1], outcome=oom))
    assert figures.first_generation_s is figures.generation_excl_compilation_s is figures.vae_decoding_s is None


def test_there_is_an_energy_of_a_generation_or_a_step_where_all_but_a_moment_has_one(tmp_path: Path) -> None:
    def joules(stages: str, loading_s: float = 0.0) -> SimpleNamespace:
        trace = with_measures(records([20.0] * 3, compile_s=9.0), stages, {"energy_j": 100.0})
        for event in trace["traceEvents"]:
            if re.fullmatch(r"Step_\d_Loading", event["name"]):
                event["args"]["time_s"] = loading_s
        return figures_of(read_trace(write(tmp_path, trace)))

    # All but Loading, which took no time, and preprocessing, which took 0.25 of 64.75 s.
    known = r"Step_\d_Inference|VAE_Decoding|Video_Export|T5_Encoding|Compilation"
    assert joules(known).generation_energy_j == 600.0
    assert joules(r"Step_\d_Inference|VAE_Decoding").generation_energy_j is None
    assert joules("nothing").generation_energy_j is None
    assert joules(known, loading_s=0.09).step_energy_j == 100.0
    assert joules(known, loading_s=0.9).step_energy_j is None


def test_tables_are_typed_and_empty_where_nothing_was_measured(read: Reader, tmp_path: Path) -> None:
    stages = stages_table([read(records([1.0] * 3))])
    write_table(stages, tmp_path / "stages.csv", tmp_path / "stages.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "stages.parquet"), stages)
    text = pd.read_csv(tmp_path / "stages.csv")
    assert list(text.columns) == list(stages.columns)
    assert pd.isna(text["gpu_mem_allocated_bytes"]).all()
    assert (str(stages["samples"].dtype), str(stages["time_s"].dtype)) == ("Int64", "Float64")
    loading = stages[stages["stage"] == "Step_1_Loading"].iloc[0]
    assert loading["time_s"] == 0
    assert pd.isna(loading["cpu_pct"])


def test_no_number_but_zero_prints_as_zero_and_code_in_a_text_is_left_as_it_is() -> None:
    texts = {0: "0.00", 1.005: "1.00", 0.0042: "0.004", 0.00042: "0.0004", -0.001: "-0.001", pd.NA: "n/a", None: "n/a"}
    assert {value: fixed(value) for value in texts} == texts
    assert plain(None) == "n/a"
    assert plain("a|b\n# c <i> `x` *y* [z](w) ~") == r"a&#124;b \# c &lt;i&gt; \`x\` \*y\* \[z\](w) \~"
    assert escaped_but_code("set `vae_tiling: true` for a_b") == r"set `vae_tiling: true` for a\_b"
