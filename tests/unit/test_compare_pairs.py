"""Which cases belong together, and when nothing may be told of them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from measured_cases import case, compare, render, spread, verdict, verdicts
from reports import case_trace, full_case, kept, read_back, tables
from traces import GPU, records
from wanbench.compare.match import match
from wanbench.compare.sides import SideCase, side_of
from wanbench.measure.outcome import Outcome


def differing(comparison: dict[str, Any]) -> str:
    """What differs in all cases, as the comparison tells it."""
    return re.search(r"differ in all cases\*\*: (.*)", render(comparison).replace("\\", ""))[1]


def test_cases_match_by_name_and_settings_then_settings_then_name() -> None:
    old = [case(name, settings={"seed": seed}) for name, seed in (("a", 1), ("b", 2), ("c", 3), ("x", 9))]
    new = [case(name, settings={"seed": seed}) for name, seed in (("b", 1), ("b2", 2), ("c", 4), ("y", 8))]
    comparison = compare(old, new)
    pairs = [(each["old_case"], each["case"]) for each in comparison["cases"]]
    assert pairs == [("a", "b"), ("b", "b2"), ("c", "c")]
    assert (comparison["only_old"], comparison["only_new"]) == (["x"], ["y"])
    # Of several that are alike, each goes with one; how often they were measured comes first.
    old = [case("a"), case("b"), case("often", how_often={"repeats": 3})]
    pairs = match(old, [case("often_too", how_often={"repeats": 3}), case("c"), case("d"), case("e"), case("f")])
    assert [(old.case, new.case) for old, new in pairs] == [("often", "often_too"), ("a", "c"), ("b", "d")]


def test_a_label_and_a_limit_are_no_settings(tmp_path: Path) -> None:
    def settings(name: str, limit_s: float, **changes: Any) -> dict[str, Any]:
        trace = case_trace(tmp_path, replace(full_case(name, steps=3, **changes), timeout_s=limit_s))
        return side_of([trace])[0].settings

    assert settings("one", 100.0) == settings("two", 200.0)
    assert settings("one", 100.0) != settings("one", 100.0, offload="model")


BOTH = {"gpu_uuids": {"GPU-0", "GPU-1"}}
VARIABLES = {"NCCL_DEBUG": "INFO", "LD_PRELOAD": None}, {"CUDA_LAUNCH_BLOCKING": "1", "LD_PRELOAD": None}
TOLD = "variable NCCL_DEBUG INFO -> not set, variable CUDA_LAUNCH_BLOCKING not set -> 1"
OFFLOADED = {"settings": {"offload": "model"}}
OOM, ERROR = ({"ended_well": False, "doubt": f"ended with {status}"} for status in ("oom", "error"))


@pytest.mark.parametrize(
    ("old", "new", "told", "expected"),
    [
        ({}, {"hardware": {"power limit (W)": None}}, "power limit (W) 700.0 -> n/a", "other power limit (W)"),
        # One that nobody knows is not the same as another.
        ({"hardware": {"CPU": None}}, {"hardware": {"CPU": None}}, "CPU n/a -> n/a", "other CPU"),
        ({"software": {"accelerate": "1.15.0"}}, {}, "accelerate 1.15.0 -> n/a", "slower"),
        ({"variables": VARIABLES[0]}, {"variables": VARIABLES[1]}, TOLD, "slower"),
        (BOTH, {"gpu_uuids": {"GPU-0", "GPU-2"}}, "GPU: another one of this name", "slower"),
        (BOTH, BOTH, "nothing", "slower"),
        (BOTH, {}, "nothing", "slower"),
        ({"how_often": {"repeats": 3}}, {"how_often": {"repeats": 5}}, "nothing", "slower"),
        ({}, OFFLOADED | ERROR, "nothing", "not comparable: offload none -> model; this run ended with error"),
        ({"doubt": "check: a"}, OOM, "nothing", "no verdict: baseline check: a; this run ended with oom"),
    ],
)
def test_what_differs_is_told_and_decides_whether_there_is_a_verdict(
    old: dict[str, Any], new: dict[str, Any], told: str, expected: str
) -> None:
    comparison = compare([case(**old)], [case(step_s=9, **new)])
    assert differing(comparison) == told
    assert verdict(comparison, "s/step") == expected
    assert any("slower" in line for line in comparison["worse"]) is (expected == "slower")


def test_limits_that_both_sides_record_are_hardware(tmp_path: Path) -> None:
    def of(node: int = 0, **limits: Any) -> list[SideCase]:
        def alter(trace: dict[str, Any]) -> None:
            trace["environment"]["gpu_telemetry"] = {"driver": "580", "state": {"numa_node": node}}

        gpu = GPU | {"cpu_numa_nodes": "0,1"} | limits
        return side_of([case_trace(tmp_path, full_case(steps=3), gpu=gpu, alter=alter)])

    for old, new, found in (
        (of(cpu_quota_cores=None), of(cpu_quota_cores=0.5), "CPU quota (cores) n/a -> 0.5"),
        (of(), of(cpu_quota_cores=0.5), "nothing"),
        (of(cpu_niceness=0), of(cpu_niceness=10), "niceness 0 -> 10"),
        # A GPU far from the cores is other hardware, and another node that is near is not.
        (of(0), of(1), "nothing"),
        (of(0), of(2), "GPU at a NUMA node of these cores True -> False"),
    ):
        assert differing(compare(old, new)) == found


def test_figures_of_a_cold_generation_beside_those_of_warm_ones_have_no_verdict(tmp_path: Path) -> None:
    once, often, more = (side_of([case_trace(tmp_path, full_case(steps=4, repeats=repeats))]) for repeats in (1, 3, 4))
    assert (once[0].cold_only, often[0].cold_only) == (True, False)
    often = [replace(often[0], started_at="later")]
    for old, new in ((once, often), (often, once)):
        comparison = compare(old, new)
        # Memory of the process grows by a third after the first generation (5B_704p_warm on an H200: 4.42 and 5.77 GB).
        names = ("s/step", "First step", "T5 encoding", "VAE decoding", "VAE_Decoding", "Process memory")
        assert verdicts(comparison, *names) == {"no verdict: a cold generation beside warm ones"}
        assert verdict(comparison, "Cold generation") == "same"
        assert verdict(comparison, "Total duration") == "not judged"
    assert verdict(compare(often, more), "s/step") == "same"


def test_other_videos_are_not_compared_at_all() -> None:
    for key, value in {"model": "T2V-A14B", "task": "i2v", "size": "96*96", "frames": 9}.items():
        comparison = compare([case()], [case(settings={key: value})])
        assert comparison["rows"] == []
        assert f"{key} {case().settings[key]} -> {value}" in render(comparison).replace("\\*", "*")


def test_a_difference_that_not_all_cases_have_stands_with_its_case() -> None:
    once, often = (case("b", how_often={"repeats": repeats}) for repeats in (1, 3))
    comparison = compare([case("a"), once, case("c")], [case("a", software={"torch": "2.12.0"}), often, case("c")])
    assert differing(comparison) == "nothing"
    (rows,) = tables(render(comparison), "Case")
    assert [row["Differs in"] for row in rows] == ["torch 2.11.0 -> 2.12.0", "repeats 1 -> 3", "nothing else"]


def test_a_case_that_ended_well_with_a_video_of_numbers_before_and_now_does_not_is_worse() -> None:
    good, bad = case(), case(**OOM)
    assert compare([good], [bad])["worse"] == ["a: ended with oom"]
    assert compare([bad], [bad])["worse"] == compare([good], [good])["worse"] == []
    assert compare([case()], [case(**OOM, hardware={"GPU": "H"})])["worse"] == []
    # On another GPU of this name it is.
    assert compare([case(**BOTH)], [case(**OOM, gpu_uuids={"GPU-2"})])["worse"] == ["a: ended with oom"]


def test_a_stage_that_was_cut_short_has_no_time_and_a_bad_end_is_a_doubt(tmp_path: Path) -> None:
    rows = records([1.0] * 4)
    begun = next(i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == "VAE_Decoding")
    cut = read_back(tmp_path, rows[: begun + 1], outcome=Outcome("oom", "too much", "OutOfMemoryError"))
    whole = read_back(tmp_path, rows)
    assert not {"VAE_Decoding", "Total_Execution"} & spread(cut).keys()
    assert "Total_Execution" in spread(whole)
    unnamed = read_back(tmp_path, records([1.0] * 4, unnamed_s=9.0))
    no_numbers = case_trace(tmp_path, full_case(), alter=lambda trace: trace["quality"].update(output_finite=False))
    assert [(each.ended_well, each.doubt) for each in side_of([cut, whole, unnamed, no_numbers])] == [
        (False, "ended with oom"),
        (True, ""),
        (True, "check: unaccounted time"),
        (False, "check: output not finite"),
    ]


def test_of_another_gpu_of_the_name_only_what_holds_across_gpus_is_judged() -> None:
    def beside(gpu: str, **changed: tuple[float, float | None]) -> dict[str, Any]:
        figures = {"step_s": (1.0, 0.001), "gpu_mem_allocated_bytes": (2e9, None), "first_step_s": (3.0, None)}
        sides = (case(figures=figures, gpu_uuids={"GPU-0"}), case(figures=figures | changed, gpu_uuids={gpu}))
        return compare(*([side] for side in sides))

    comparison = beside("GPU-1", first_step_s=(3.6, None))
    assert verdicts(comparison, "First step", "T5_Encoding") == {"no verdict: another GPU of this name"}
    assert verdicts(comparison, "s/step", "Peak GPU memory") == {"same"}
    assert comparison["worse"] == []
    for gpu, step_s, expected in (
        ("GPU-1", 1.045, "same"),
        ("GPU-1", 1.06, "slower"),
        ("GPU-1", 0.94, "faster"),
        ("GPU-0", 1.045, "slower"),
    ):
        assert verdict(beside(gpu, step_s=(step_s, 0.001)), "s/step") == expected


def test_equal_runs_of_the_kept_results_are_no_change() -> None:
    for names, of_one_gpu in (
        (("02_Efficiency_Mode_720p", "02_5B_Efficiency_Mode_704p"), False),
        (("03_5B_Performance_Mode_704p", "03_Performance_Mode_720p"), True),
    ):
        one, other = (side_of([kept(name)]) for name in names)
        for old, new in ((one, other), (other, one)):
            comparison = compare(old, new)
            assert comparison["worse"] == []
            assert verdicts(comparison, "s/step", "Peak GPU memory") == {"same"}
            found = {row["verdict"] for row in comparison["rows"]}
            assert not of_one_gpu or found == {"same", "not judged", "n/a"}


def test_what_was_zero_and_is_more_has_no_ratio_and_is_named_and_without_a_pair_nothing_is_told() -> None:
    sides = ([case(figures={"gpu_mem_allocated_bytes": (value, None)})] for value in (0, 2e9))
    assert compare(*sides)["worse"] == ["a: Peak GPU memory more"]
    text = render(compare([case("a")], [case("b", settings={"seed": 3})]))
    assert "0 of both sides, 1 only in the baseline, 1 only in this run" in text
    assert "differ in all cases" not in text
