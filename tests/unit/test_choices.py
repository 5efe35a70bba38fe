"""Which settings to use: groups of cases that made the same video, and what each is best at."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import case_trace, full_case, made, report, tables, with_measures
from tiny import tiny_case
from traces import GPU, records, write
from wanbench.report.choices import Choice, groups_of, marks_of, which_settings
from wanbench.report.tables import cases_table, write_table
from wanbench.trace.reader import Trace, read_trace

DATA = Path(__file__).parents[1] / "data"
GB = 1_000_000_000
ALIKE_PCT, ALIKE_GENERATION_PCT = 2, 2.5
LEAST_MEMORY = "least memory (allocated)"
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
    ("other", "gpu", "count"),
    [
        ({}, GPU, 1),
        ({"task": "i2v"}, GPU, 0),
        ({"size": "704*1280"}, GPU, 0),
        ({"frames": 81}, GPU, 0),
        ({"weights": "pretrained"}, GPU, 0),
        ({}, GPU | {"gpu": GPU["gpu"] | {"name": "NVIDIA L40S"}}, 0),
        ({"seed": 1, "prompt": "a bird"}, GPU, 1),
    ],
)
def test_choices_made_the_same_video_on_the_same_gpu(make: Make, other: dict, gpu: dict, count: int) -> None:
    one = make(full_case("one", steps=3))
    another = make(full_case("another", steps=3, offload="model", **other), gpu=gpu)
    assert len(groups(one, another)) == count


def test_models_are_no_choice_of_settings(make: Make) -> None:
    models = ({"model": "TI2V-5B"}, {"model": "T2V-A14B", "offload": "model"})
    same = {"size": "832*480", "unofficial_size": True, "frames": 81, "steps": 3}
    traces = [make(full_case(case["model"], **case | same), experts=["high_noise"] * 3) for case in models]
    assert groups(*traces) == []


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
    traces = [make(full_case("one", steps=3)), make(full_case("another", **{"steps": 3} | setting))]
    found = rows(*traces)["one"]
    expected = ["cache", "cache_threshold"] if key == "cache" else [key]
    assert list(found)[1 : 1 + len(expected) + 1] == [*expected, "s/step"]


def test_two_thresholds_of_a_cache_are_a_choice(make: Make) -> None:
    cases = [full_case(f"at_{at}", steps=3, cache="first_block", cache_threshold=at) for at in (0.05, 0.1)]
    found = rows(*(make(case) for case in cases))
    assert [row["cache_threshold"] for row in found.values()] == ["0.05", "0.1"]


def test_the_same_settings_twice_are_no_choice(make: Make) -> None:
    traces = [make(full_case(name, steps=3)) for name in ("one", "another")]
    assert groups(*traces) == []
    assert which_settings(cases_table(traces), ALIKE_PCT, ALIKE_GENERATION_PCT) is None


def test_cases_that_are_tiny_or_failed_a_check_are_no_choice(make: Make) -> None:
    one, other = full_case("one", steps=9), full_case("other", steps=9, offload="model")
    assert groups(make(one), make(other)) == [["one", "other"]]
    assert groups(make(one), make(other, unnamed_s=3.0)) == []
    tiny = [replace(tiny_case(offload=offload), name=offload) for offload in ("none", "model")]
    assert groups(*(make(case) for case in tiny)) == []


# --- figures ----------------------------------------------------------------------------------------------------


def test_time_is_brought_to_the_official_steps(make: Make) -> None:
    few, all_ = full_case("few", steps=4, repeats=2), full_case("all", offload="model")
    found = rows(make(few, compile_s=30.0), make(all_, compile_s=30.0))
    column = "Time at 50 steps (s)"
    assert (found["few"][column], found["few"]["Generation"]) == ("104.75 (scaled)", "warm")
    assert (found["all"][column], found["all"]["Generation"]) == ("104.75", "cold")
    assert (found["few"]["s/step"], found["few"]["VAE decoding (s)"]) == ("2.00", "3.00")


def test_the_fastest_stands_first_and_what_has_no_time_last(make: Make) -> None:
    unknown = make(full_case("a_unknown", steps=1, offload="model"))
    slow, fast = make(full_case("b_slow", steps=3), step_s=3.0), make(full_case("c_fast", steps=3, offload="model"))
    assert groups(unknown, slow, fast) == [["c_fast", "b_slow", "a_unknown"]]
    found = rows(unknown, slow, fast)["a_unknown"]
    assert (found["s/step"], found["Time at 50 steps (s)"], found["Best at"]) == ("n/a", "n/a", "")


def test_a_figure_of_a_single_step_says_so(make: Make) -> None:
    short = make(full_case("short", "T2V-A14B", steps=3), experts=["high_noise"] * 2 + ["low_noise"])
    longer = make(
        full_case("longer", "T2V-A14B", steps=4, offload="model"), experts=["high_noise"] * 2 + ["low_noise"] * 2
    )
    found = rows(short, longer)
    assert (found["short"]["s/step"], found["longer"]["s/step"]) == ("2.00 (1 step)", "2.00")


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
        ({"cache": "first_block"}, True),
        ({"attention": "sage"}, True),
        ({"attention": "sage_hub"}, True),
        ({"vae_tiling": True}, True),
        ({"vae_dtype": "bfloat16"}, True),
        ({"dtype": "float16"}, True),
        ({"dtype": "float32"}, False),
        ({"attention": "_native_cudnn"}, False),
        ({"compile": "repeated_blocks"}, False),
    ],
)
def test_what_changes_the_video_is_marked_and_explained(make: Make, setting: dict[str, Any], lossy: bool) -> None:
    traces = [make(full_case("exact", steps=3)), make(full_case("other", steps=3, **setting))]
    section = which_settings(cases_table(traces), ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert ("| other (lossy) " in section, "| exact (lossy) " in section) == (lossy, False)
    assert ("(lossy): a setting of the case changes the video" in section) == lossy


def test_the_gpu_of_a_row_is_said_where_a_table_has_several(make: Make) -> None:
    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    one, tiled = full_case("one", steps=3), full_case("tiled", steps=3, vae_tiling=True)
    found = rows(make(one), make(tiled, gpu=other))
    assert {name: row["GPU"] for name, row in found.items()} == {"one": "A", "tiled (lossy)": "B"}
    section = which_settings(cases_table([make(one), make(tiled, gpu=other)]), ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert "on which a row was measured: GPU A is GPU-0, GPU B is GPU-1." in section
    assert "GPU" not in rows(make(one), make(tiled))["one"]


def test_weights_that_move_are_no_part_of_decoding_and_have_a_column(make: Make, tmp_path: Path) -> None:
    def offload_all(content: dict[str, Any]) -> None:
        (event,) = (event for event in content["traceEvents"] if event["name"] == "Video_Export")
        detail = {"name": "Offload_All", "cat": "detail", "dur": 0.75e6, "args": {"generation": 0}}
        content["traceEvents"].append(event | detail)

    moving = {"VAE_Decoding": {"offloading_s": 2.5, "moves": 1}, "T5_Encoding": {"loading_s": 0.25, "moves": 1}}
    offloaded = made(tmp_path, full_case("offloaded", steps=3, offload="model"), measures=moving, alter=offload_all)
    found = rows(make(full_case("resident", steps=3)), offloaded)
    columns = ("VAE decoding (s)", "Moving weights (s)")
    assert [found["offloaded"][column] for column in columns] == ["0.50", "3.50"]
    assert [found["resident"][column] for column in columns] == ["3.00", "0.00"]
    assert columns[1] not in rows(make(full_case("resident")), make(full_case("tiled", vae_tiling=True)))["resident"]


def test_memory_is_shown_as_allocated_reserved_and_used(make: Make, tmp_path: Path) -> None:
    held = {"VAE_Decoding": {"gpu_mem_reserved_bytes": 36 * GB, "gpu_mem_used_bytes": 37 * GB}}
    case = full_case("offloaded", steps=3, offload="model")
    found = rows(make(full_case("resident", steps=3)), made(tmp_path, case, measures=held, peak_bytes=25 * GB))
    columns = ("GPU Allocated (GB)", "GPU Reserved (GB)", "GPU Used (GB)")
    assert [found["offloaded"][column] for column in columns] == ["25.00", "36.00", "37.00"]


# --- what each is best at ---------------------------------------------------------------------------------------


def choice(offload: str, time_s: float | None, peak_bytes: float | None, energy_j: float | None = None) -> Choice:
    return Choice(
        label=offload,
        gpu=None,
        lossy=False,
        settings={"offload": offload, "steps": f"{time_s}"},
        step_s="n/a",
        vae_computing_s=None,
        moving_weights_s=None,
        time_s=time_s,
        energy_j=energy_j,
        scaled=False,
        warmth="cold",
        peak_bytes=peak_bytes,
        reserved_bytes=None,
        used_bytes=None,
    )


@pytest.mark.parametrize(
    ("choices", "marks"),
    [
        # Each is better at one thing.
        (
            [("none", 1.0, 9.0, 5.0), ("model", 2.0, 3.0, 6.0)],
            [["fastest", "least energy", "Pareto"], [LEAST_MEMORY, "Pareto"]],
        ),
        # As much memory, and slower.
        ([("none", 1.0, 3.0), ("model", 2.0, 3.0)], [["fastest", LEAST_MEMORY, "Pareto"], [LEAST_MEMORY]]),
        # As fast, and more memory.
        ([("none", 1.0, 9.0), ("model", 1.0, 3.0)], [["fastest"], ["fastest", LEAST_MEMORY, "Pareto"]]),
        # Equal in both.
        ([("none", 1.0, 3.0), ("model", 1.0, 3.0)], [["fastest", LEAST_MEMORY, "Pareto"]] * 2),
        # Best at neither, and no other is better in both.
        (
            [("none", 1.0, 9.0), ("model", 2.0, 5.0), ("group", 3.0, 3.0)],
            [["fastest", "Pareto"], ["Pareto"], [LEAST_MEMORY, "Pareto"]],
        ),
        # The same settings do not beat themselves, and are beaten together.
        (
            [("none", 1.0, 3.0), ("none", 2.0, 3.0), ("model", 3.0, 4.0), ("model", 4.0, 4.0)],
            [["fastest", LEAST_MEMORY, "Pareto"], [LEAST_MEMORY, "Pareto"], [], []],
        ),
        # Nothing is concluded from what was not measured.
        ([("none", 1.0, None), ("model", 2.0, 3.0)], [["fastest"], ["Pareto"]]),
        ([("none", None, 3.0), ("model", 2.0, 4.0)], [[LEAST_MEMORY], ["Pareto"]]),
    ],
)
def test_what_a_choice_is_best_at(choices: list[tuple], marks: list[list[str]]) -> None:
    assert marks_of([choice(*figures) for figures in choices], ALIKE_PCT) == marks


def test_peaks_that_equal_cases_may_have_are_the_same_memory() -> None:
    """As I2V_A14B_480p was, which 1.9 MB put on the front beside a case that is 36 s faster."""
    compiled, eager = choice("none", 237.21, 78.858e9), choice("model", 272.94, 78.856e9)
    assert marks_of([compiled, eager], ALIKE_PCT) == [["fastest", LEAST_MEMORY, "Pareto"], [LEAST_MEMORY]]
    assert marks_of([compiled, eager], 0) == [["fastest", "Pareto"], [LEAST_MEMORY, "Pareto"]]


def test_times_and_energies_that_equal_cases_may_have_share_the_mark() -> None:
    """As 108.18 s and 108.69 s, which were of two GPUs of one name."""
    figures = [("none", 108.18, 47e9, 100.0), ("model", 108.69, 47e9, 102.0), ("group", 112.0, 47e9, 103.0)]
    marks = marks_of([choice(*each) for each in figures], ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert [("fastest" in of_one, "least energy" in of_one) for of_one in marks] == [
        (True, True),
        (True, True),
        (False, False),
    ]


def test_the_front_is_that_of_all_pairs_and_found_in_no_more_than_a_moment() -> None:
    draw = random.Random(1)
    ways = ["none", "model", "group", "group_stream"]
    few = [choice(draw.choice(ways), draw.randint(1, 9), draw.randint(1, 9)) for _ in range(200)]
    expected = [not any(_beats(other, one) for other in few) for one in few]
    assert ["Pareto" in marks for marks in marks_of(few, 0)] == expected
    many = [choice(draw.choice(ways), draw.random(), draw.random()) for _ in range(20_000)]
    start_s = time.process_time()
    marks_of(many, ALIKE_PCT)
    # Looking at all pairs would take minutes.
    assert time.process_time() - start_s < 2


def _beats(other: Choice, one: Choice) -> bool:
    as_good = other.time_s <= one.time_s and other.peak_bytes <= one.peak_bytes
    return other.way != one.way and as_good and (other.time_s, other.peak_bytes) != (one.time_s, one.peak_bytes)


# --- the section ------------------------------------------------------------------------------------------------


def test_the_section_stands_before_the_cases_and_only_where_there_is_a_choice(make: Make) -> None:
    one, other = make(full_case("one", steps=3)), make(full_case("other", steps=3, offload="model"))
    text = report(one, other)
    assert text.index("| Case ") < text.index("## Which settings to use") < text.index("# Detailed Breakdown")
    assert "Which settings to use" not in report(one)


def test_the_section_as_it_is_printed(make: Make, tmp_path: Path) -> None:
    """From the table as it comes out of its file."""
    traces = [
        make(full_case("1_eager", steps=4), peak_bytes=47 * GB),
        make(full_case("2_compiled", compile="repeated_blocks", repeats=2), 1.5, compile_s=9.0, peak_bytes=47 * GB),
        make(full_case("3_tiled", steps=4, vae_tiling=True), decode_s=12.0, peak_bytes=30 * GB),
        make(full_case("4_offload", steps=4, offload="model"), decode_s=9.0, peak_bytes=25 * GB),
        make(full_case("5_A14B", "T2V-A14B", steps=3), 9.0, experts=["high_noise"] * 3, peak_bytes=80 * GB),
    ]
    write_table(cases_table(traces), tmp_path / "cases.csv", tmp_path / "cases.parquet")
    section = which_settings(pd.read_parquet(tmp_path / "cases.parquet"), ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert section == (DATA / "which_settings.md").read_text("utf-8").rstrip("\n")
