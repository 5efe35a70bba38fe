"""Which settings to use: groups of cases that made the same video, and what each is best at."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from example_cases import tiny_case
from reports import case_trace, full_case, made, report, tables, with_measures
from traces import GPU, records, write
from wanbench.analysis.choices import groups_of
from wanbench.analysis.tables import cases_table, write_table
from wanbench.cases.case import Case
from wanbench.measure.outcome import Outcome
from wanbench.registry.settings import SETTINGS
from wanbench.report.which_settings import which_settings
from wanbench.trace.reader import Trace, read_trace

GB = 1_000_000_000
ALIKE_PCT, ALIKE_GENERATION_PCT = 2, 2.5
Make = Callable[..., Trace]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def groups(*traces: Trace) -> list[list[str]]:
    """Names of the choices of each group."""
    return [[choice.label for choice in choices] for choices in groups_of(cases_table(traces)).values()]


def rows(*traces: Trace) -> dict[str, dict[str, str]]:
    """The rows of the only table, by case."""
    (found,) = tables(which_settings(cases_table(traces), ALIKE_PCT, ALIKE_GENERATION_PCT), "Case")
    return {row["Case"]: row for row in found}


# --- groups -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "gpu", "together"),
    [
        ({}, GPU, True),
        ({"task": "i2v"}, GPU, False),
        ({"model": "T2V-A14B", "size": "1280*704", "unofficial_size": True}, GPU, False),
        ({"size": "704*1280"}, GPU, False),
        ({"frames": 81}, GPU, False),
        ({"weights": "pretrained"}, GPU, False),
        ({}, GPU | {"gpu": GPU["gpu"] | {"name": "NVIDIA L40S"}}, False),
        ({"seed": 1, "prompt": "a bird"}, GPU, True),
    ],
)
def test_choices_made_the_same_video_on_the_same_gpu(make: Make, other: dict, gpu: dict, together: bool) -> None:
    one = make(full_case("one", steps=3))
    experts = {"experts": ["high_noise"] * 3} if "model" in other else {}
    another = make(full_case("another", **{"steps": 3, "offload": "model"} | other), gpu=gpu, **experts)
    assert groups(one, another) == ([["one", "another"]] if together else [["one"], ["another"]])


@pytest.mark.parametrize(
    "setting",
    [
        {"offload": "model"},
        {"compile": "repeated_blocks"},
        {"cache": "first_block"},
        {"attention": "_native_cudnn"},
        {"dtype": "float16"},
        {"vae_dtype": "bfloat16"},
        {"vae_tiling": True},
        {"steps": 4},
        {"guidance": 4},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_one_setting_makes_a_choice_and_has_a_column(make: Make, setting: dict[str, Any]) -> None:
    (key,) = setting
    same = {"steps": 3, "weights": "pretrained"}
    found = rows(make(full_case("one", **same)), make(full_case("another", **same | setting)))["one"]
    expected = ["cache", "cache_threshold"] if key == "cache" else [key]
    assert list(found)[1 : 1 + len(expected) + 1] == [*expected, "s/step"]


def test_where_settings_do_not_differ_the_table_says_what_they_are(make: Make) -> None:
    found = rows(make(full_case("one", steps=3)), make(full_case("another", steps=3)))
    assert list(found["one"])[1:5] == ["offload", "compile", "steps", "s/step"]
    (alone,) = rows(make(full_case("one", steps=3, offload="model"))).values()
    assert (alone["offload"], alone["steps"], alone["Best at"]) == ("model", "3", "")


def out_of_memory(folder: Path, case: Case, **run: Any) -> Trace:
    return made(folder, case, until="VAE_Decoding", outcome=Outcome("oom", "CUDA out of memory"), **run)


def test_what_did_not_fit_is_a_row_beside_what_did(make: Make, tmp_path: Path) -> None:
    """As T2V_A14B_720p on an H100, of which a table said nothing, nor of the one way that fits."""
    experts = ["high_noise"] * 2 + ["low_noise"]
    too_big = out_of_memory(tmp_path, full_case("a_too_big", "T2V-A14B", steps=3), experts=experts, peak_bytes=80 * GB)
    fits = make(full_case("fits", "T2V-A14B", steps=3, offload="model"), experts=experts, peak_bytes=33 * GB)
    found = rows(too_big, fits)
    assert list(found) == ["fits", "a_too_big"]
    assert [row["offload"] for row in found.values()] == ["model", "none"]
    cells = found["a_too_big"]
    assert (cells["Best at"], cells["s/step"], found["fits"]["Best at"]) == ("does not fit", "2.00 (1 step)", "")
    unknown = ("Generation", "VAE decoding (s)", "Time at 40 steps (s)", "GPU Allocated (GB)", "GPU Used (GB)")
    assert {cells[column] for column in unknown} == {"n/a"}
    assert list(rows(too_big)) == ["a_too_big"]


def test_a_case_that_found_the_gpu_filled_by_others_may_fit(tmp_path: Path) -> None:
    cases = cases_table([out_of_memory(tmp_path, full_case(steps=3))])
    assert len(groups_of(cases)) == 1
    assert groups_of(cases.assign(other_processes=1)) == {}


def test_cases_that_are_tiny_or_failed_a_check_are_no_choice(make: Make) -> None:
    one, other = full_case("one", steps=9), full_case("other", steps=9, offload="model")
    assert groups(make(one), make(other)) == [["one", "other"]]
    assert groups(make(one), make(other, unnamed_s=3.0)) == [["one"]]
    tiny = [replace(tiny_case(offload=offload), name=offload) for offload in ("none", "model")]
    assert groups(*(make(case) for case in tiny)) == []


# --- figures ----------------------------------------------------------------------------------------------------


def test_time_is_brought_to_the_official_steps(make: Make) -> None:
    few, all_ = full_case("few", steps=4), full_case("all", offload="model")
    found = rows(make(few, compile_s=30.0), make(all_, compile_s=30.0))
    column = "Time at 50 steps (s)"
    assert (found["few"][column], found["few"]["Generation"]) == ("104.75 (scaled)", "cold")
    assert (found["all"][column], found["all"]["Generation"]) == ("104.75", "cold")
    assert (found["few"]["s/step"], found["few"]["VAE decoding (s)"]) == ("2.00", "3.00")


def test_rows_are_of_warm_generations_where_all_have_one_and_else_of_cold_ones(tmp_path: Path) -> None:
    """As 5B_704p_warm, whose warm generation stood among cold ones and was the fastest."""

    def cold_start(content: dict[str, Any]) -> None:
        for event in (event for event in content["traceEvents"] if event.get("cat") == "stage"):
            args = event["args"]
            cold = event["name"] in ("Step_0_Inference", "VAE_Decoding") and args["generation"] == 0
            args["time_s"] += 4.0 if cold or event["name"] == "Total_Execution" else 0

    def run(name: str, **settings: Any) -> Trace:
        return made(tmp_path, full_case(name, steps=4, **settings), alter=cold_start)

    def figures(trace: Trace, *others: Trace) -> tuple[str, ...]:
        row = rows(trace, *others)[trace.case["name"]]
        return row["Generation"], row["Time at 50 steps (s)"], row["VAE decoding (s)"]

    warm, also_warm, cold = (
        run("warm", repeats=2),
        run("also", repeats=2, offload="model"),
        run("cold", offload="model"),
    )
    assert figures(warm, also_warm) == ("warm", "104.75 (scaled)", "3.00")
    assert figures(warm, cold) == ("cold", "112.75 (scaled)", "7.00")


def test_the_fastest_stands_first_and_what_has_no_time_last(make: Make) -> None:
    unknown = make(full_case("a_unknown", steps=1, offload="model"))
    slow, fast = make(full_case("b_slow", steps=3), step_s=3.0), make(full_case("c_fast", steps=3, offload="model"))
    assert groups(unknown, slow, fast) == [["c_fast", "b_slow", "a_unknown"]]
    found = rows(unknown, slow, fast)["a_unknown"]
    assert (found["s/step"], found["Time at 50 steps (s)"], found["Best at"]) == ("n/a", "n/a", "")


def test_energy_is_for_a_second_of_video_at_the_official_steps(make: Make, tmp_path: Path) -> None:
    case = full_case("known", steps=3)
    parts = r"Step_\d_Inference|VAE.*|Video.*"
    trace = with_measures(records([40.0] * 3, environment=GPU, case=case), parts, {"energy_j": 1210.0}, case=case)
    known = read_trace(write(tmp_path, trace))
    found = rows(known, make(full_case("unknown", steps=3, offload="model")))
    # 52 times 1210 J for 121 frames, 24 a second.
    assert found["known"]["Energy (J/s of video)"] == "12480 (scaled)"
    assert found["unknown"]["Energy (J/s of video)"] == "n/a"
    # Of one figure there is no least.
    assert "least energy" not in found["known"]["Best at"]


@pytest.mark.parametrize(
    ("setting", "lossy"),
    [
        *(({key: value}, True) for key, row in SETTINGS.items() for value in row.lossy if value != "sage_hub"),
        ({"dtype": "float32"}, False),
        ({"attention": "_native_cudnn"}, False),
        ({"compile": "repeated_blocks"}, False),
    ],
)
def test_what_changes_the_video_is_marked_and_explained(make: Make, setting: dict[str, Any], lossy: bool) -> None:
    same = {"steps": 3, "weights": "pretrained"}
    traces = [make(full_case("exact", **same)), make(full_case("other", **same, **setting))]
    section = which_settings(cases_table(traces), ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert ("| other (lossy) " in section, "| exact (lossy) " in section) == (lossy, False)
    assert ("(lossy): a setting of the case" in section) == lossy


def test_the_gpu_of_a_row_is_said_where_a_table_has_several(make: Make) -> None:
    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    one, tiled = full_case("one", steps=3), full_case("tiled", steps=3, vae_tiling=True)
    found = rows(make(one), make(tiled, gpu=other))
    assert {name: row["GPU"] for name, row in found.items()} == {"one": "A", "tiled (lossy)": "B"}
    section = which_settings(cases_table([make(one), make(tiled, gpu=other)]), ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert "GPU A is GPU-0, GPU B is GPU-1." in section
    assert "GPU" not in rows(make(one), make(tiled))["one"]


def test_weight_transfers_are_no_part_of_decoding_and_have_a_column(make: Make, tmp_path: Path) -> None:
    def offload_all(content: dict[str, Any]) -> None:
        (event,) = (event for event in content["traceEvents"] if event["name"] == "Video_Export")
        detail = {"name": "Offload_All", "cat": "detail", "dur": 0.75e6, "args": {"generation": 0}}
        content["traceEvents"].append(event | detail)

    transfers = {
        "VAE_Decoding": {"offloading_s": 2.5, "transfers": 1},
        "T5_Encoding": {"loading_s": 0.25, "transfers": 1},
    }
    offloaded = made(tmp_path, full_case("offloaded", steps=3, offload="model"), measures=transfers, alter=offload_all)
    found = rows(make(full_case("resident", steps=3)), offloaded)
    columns = ("VAE decoding (s)", "Weight transfers as run (s)")
    assert [found["offloaded"][column] for column in columns] == ["0.50", "3.50"]
    assert [found["resident"][column] for column in columns] == ["3.00", "0.00"]
    assert columns[1] not in rows(make(full_case("resident")), make(full_case("tiled", vae_tiling=True)))["resident"]


def test_memory_is_shown_as_allocated_reserved_and_used(make: Make, tmp_path: Path) -> None:
    held = {"VAE_Decoding": {"gpu_mem_reserved_bytes": 36 * GB, "gpu_mem_used_bytes": 37 * GB}}
    case = full_case("offloaded", steps=3, offload="model")
    found = rows(make(full_case("resident", steps=3)), made(tmp_path, case, measures=held, peak_bytes=25 * GB))
    columns = ("GPU Allocated (GB)", "GPU Reserved (GB)", "GPU Used (GB)")
    assert [found["offloaded"][column] for column in columns] == ["25.00", "36.00", "37.00"]


def test_cases_on_the_cpu_are_no_settings_to_use(make: Make) -> None:
    """A tiny checkpoint brings its own size: one of two equal cases was called the fastest on a busy machine."""
    cpu = GPU | {"device": "cpu", "gpu": None}
    real = {"steps": 3, "weights": "pretrained"}
    traces = [make(full_case("a", **real), gpu=cpu), make(full_case("b", offload="model", **real), gpu=cpu)]
    assert groups(*traces) == []
    assert groups(make(full_case("a", **real)), *traces) == [["a"]]


# --- the section ------------------------------------------------------------------------------------------------


def test_the_section_stands_before_the_cases_and_only_where_a_real_model_ran(make: Make) -> None:
    one, other = make(full_case("one", steps=3)), make(full_case("other", steps=3, offload="model"))
    text = report(one, other)
    assert text.index("| Case ") < text.index("## Which settings to use") < text.index("# Detailed Breakdown")
    assert "Which settings to use" not in report(make(tiny_case()))


def test_what_a_process_pays_once_is_told_from_a_second_on(make: Make) -> None:
    table = cases_table([make(full_case(name, steps=4)) for name in ("long", "short", "none")])
    table["placement_s"], table["compilation_s"] = [83.13, 0.9, None], [9.0, 20.5, None]
    once = "Once for each process, and not in the times above: "
    text = which_settings(table, ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert f"{once}placing the weights 83.13 s (long); compilation 9.00 s (long), 20.50 s (short)." in text
    table["placement_s"], table["compilation_s"] = None, 0.5
    assert once not in which_settings(table, ALIKE_PCT, ALIKE_GENERATION_PCT)


def test_the_section_of_a_table_as_it_comes_out_of_its_file(make: Make, tmp_path: Path) -> None:
    traces = [
        make(full_case("1_eager", steps=4), peak_bytes=47 * GB),
        make(full_case("2_compiled", compile="repeated_blocks", repeats=2), 1.5, compile_s=9.0, peak_bytes=47 * GB),
        make(full_case("3_offload", steps=4, offload="model"), decode_s=9.0, peak_bytes=25 * GB),
        make(full_case("4_A14B", "T2V-A14B", steps=3), 9.0, experts=["high_noise"] * 3, peak_bytes=80 * GB),
    ]
    write_table(cases_table(traces), tmp_path / "cases.csv", tmp_path / "cases.parquet")
    section = which_settings(pd.read_parquet(tmp_path / "cases.parquet"), ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert "### TI2V-5B t2v, 1280\\*704, 121 frames, random weights, GPU NVIDIA H200\n" in section
    first, second = tables(section, "Case")
    assert [(row["Case"], row["Best at"]) for row in first] == [
        ("2_compiled", "fastest, Pareto"),
        ("1_eager", ""),
        ("3_offload", "least memory (allocated), Pareto"),
    ]
    assert [row["Time at 40 steps (s)"] for row in second] == ["364.75 (scaled)"]
    assert "compilation 9.00 s (2_compiled)" in section
    assert "Host memory with offload: 4.00 GB (3_offload)" in section


def test_a_cache_with_random_weights_is_no_setting_to_use(make: Make) -> None:
    """As 5B_704p_cache: the fastest of all, for how often it serves random weights."""
    cache = {"cache": "first_block", "cache_threshold": 0.1}
    plain, cached = make(full_case("plain")), make(full_case("cached", **cache), 0.5)
    assert groups(plain, cached) == [["plain"]]
    real = {"weights": "pretrained"}
    plain, cached = make(full_case("plain", **real)), make(full_case("cached", **cache, **real), 0.5)
    assert groups(plain, cached) == [["cached (lossy)", "plain"]]
