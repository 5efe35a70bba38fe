"""Which cases belong together, and when nothing may be told of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from measured_cases import case, compare, render, spread, verdict, verdicts, with_settings
from reports import case_trace, full_case, kept, read_back
from traces import GPU, records
from wanbench.compare.change_verdict import as_json, regressions
from wanbench.compare.match import match
from wanbench.compare.sides import SideCase, side_of
from wanbench.measure.outcome import Outcome

# --- which cases belong together ----------------------------------------------------------------------------------


def test_cases_match_by_name_and_settings_then_settings_then_name() -> None:
    old = [with_settings(name, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 3), ("x", 9))]
    new = [with_settings(name, seed=seed) for name, seed in (("b", 1), ("b2", 2), ("c", 4), ("y", 8))]
    comparison = compare(old, new)
    assert [(each.old.case, each.new.case) for each in comparison.cases] == [("a", "b"), ("b", "b2"), ("c", "c")]
    assert (comparison.only_old, comparison.only_new) == (("x",), ("y",))
    # Of several that are alike, each goes with one.
    pairs = match([case("a"), case("b")], [case("c"), case("d"), case("e")])
    assert [(old.case, new.case) for old, new in pairs] == [("a", "c"), ("b", "d")]


def test_a_label_and_a_limit_are_no_settings(tmp_path: Path) -> None:
    def settings(name: str, limit_s: float, **changes: Any) -> dict[str, Any]:
        trace = case_trace(tmp_path, replace(full_case(name, steps=3, **changes), timeout_s=limit_s))
        return side_of([trace])[0].settings

    assert settings("one", 100.0) == settings("two", 200.0)
    assert settings("one", 100.0) != settings("one", 100.0, offload="model")


@pytest.mark.parametrize(
    ("kind", "what", "old", "new"),
    [
        ("hardware", "power limit (W)", 700.0, None),
        # One that nobody knows is not the same as another.
        ("hardware", "CPU", None, None),
        ("software", "accelerate", "1.15.0", None),
    ],
)
def test_other_hardware_has_no_verdict_and_other_software_is_named_and_judged(
    kind: str, what: str, old: Any, new: Any
) -> None:
    sides = [
        [case(step_s=step_s, **{kind: getattr(case(), kind) | {what: value}})] for step_s, value in ((1, old), (9, new))
    ]
    comparison = compare(*sides)
    shown = " -> ".join("n/a" if value is None else str(value) for value in (old, new))
    assert f"differ in all cases**: {what} {shown}" in render(comparison)
    assert verdict(comparison, "s/step") == ("slower" if kind == "software" else f"other {what}")
    assert bool(regressions(comparison)) is (kind == "software")


def test_limits_that_both_sides_record_are_hardware_and_what_one_does_not_record_is_no_difference(
    tmp_path: Path,
) -> None:
    def of(node: int = 0, **limits: Any) -> list[SideCase]:
        def alter(trace: dict[str, Any]) -> None:
            trace["environment"]["gpu_telemetry"] = {"driver": "580", "state": {"numa_node": node}}

        gpu = GPU | {"cpu_numa_nodes": "0,1"} | limits
        return side_of([case_trace(tmp_path, full_case(steps=3), gpu=gpu, alter=alter)])

    for old, new, found in (
        (of(cpu_quota_cores=None), of(cpu_quota_cores=0.5), "CPU quota (cores) n/a -> 0.5"),
        (of(), of(cpu_quota_cores=0.5), "nothing"),
        # A GPU far from the cores is other hardware, and another node that is near is not.
        (of(0), of(1), "nothing"),
        (of(0), of(2), "GPU at a NUMA node of these cores True -> False"),
    ):
        assert f"differ in all cases**: {found}\n" in render(compare(old, new))


def test_variables_that_differ_are_named_and_judged() -> None:
    old = case(variables={"NCCL_DEBUG": "INFO", "LD_PRELOAD": None})
    new = case(step_s=9, variables={"CUDA_LAUNCH_BLOCKING": "1", "LD_PRELOAD": None})
    text = render(compare([old], [new]))
    assert "variable NCCL\\_DEBUG INFO -> not set" in text
    assert "variable CUDA\\_LAUNCH\\_BLOCKING not set -> 1" in text
    assert "LD" not in text
    assert verdict(compare([old], [new]), "s/step") == "slower"
    assert "differ in all cases**: nothing" in render(compare([case()], [new]))


def test_how_often_is_no_setting_and_is_named() -> None:
    old = [case("a", how_often={"warmup": 0, "repeats": 3}), case("b", how_often={"warmup": 1, "repeats": 3})]
    comparison = compare(old, [case("a", step_s=2, how_often={"warmup": 0, "repeats": 5})])
    assert comparison.cases[0].old.case == "a"
    assert verdict(comparison, "s/step") == "slower"
    text = render(comparison)
    assert "repeats 3 -> 5" in text
    assert "differ in all cases**: nothing" in text
    renamed = compare(old, [case("c", how_often={"warmup": 1, "repeats": 3})])
    assert renamed.cases[0].old.case == "b"


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


# --- when nothing may be told -------------------------------------------------------------------------------------


def test_other_settings_are_shown_without_a_verdict() -> None:
    comparison = compare([case()], [replace(with_settings("a", offload="model"), figures=case(step_s=9).figures)])
    assert verdict(comparison, "s/step") == "not comparable: offload none -> model"
    assert comparison.rows.set_index("name").loc["s/step", "ratio"] == 9
    assert verdict(comparison, "Warm generation") == "n/a"


def test_other_videos_are_not_compared_at_all() -> None:
    for key, value in {"model": "T2V-A14B", "task": "i2v", "size": "96*96", "frames": 9}.items():
        comparison = compare([case()], [with_settings("a", **{key: value})])
        assert comparison.rows.empty
        assert f"{key} {case().settings[key]} -> {value}" in render(comparison).replace("\\*", "*")


def test_a_difference_that_not_all_cases_have_stands_with_its_case() -> None:
    new = [case("a", software={"torch": "2.12.0"}), with_settings("b", seed=1)]
    text = render(compare([case("a"), with_settings("b", seed=1)], new))
    assert "differ in all cases**: nothing" in text
    rows = {line[2]: line for line in text.split("## Cases")[1].split("## Rules")[0].splitlines() if line[:1] == "|"}
    assert "torch 2.11.0 -> 2.12.0" in rows["a"]
    assert "torch" not in rows["b"]


def test_a_doubtful_or_unfinished_case_has_no_verdict_and_the_reason_is_named() -> None:
    failed = case(step_s=9, status="oom", doubt="ended with oom")
    comparison = compare([case(doubt="check: step time changed")], [failed])
    assert verdict(comparison, "s/step") == "no verdict: baseline check: step time changed; this run ended with oom"
    changed = replace(with_settings("a", offload="model"), status="error", doubt="ended with error")
    assert "not comparable: offload none -> model; this run ended with error" in render(compare([case()], [changed]))


def test_a_case_that_ended_well_with_a_video_of_numbers_before_and_now_does_not_is_worse() -> None:
    failed = case(status="oom", doubt="ended with oom")
    nan = case(output_finite=False, doubt="check: output not finite")
    for good, bad in ((case(), failed), (case(output_finite=True), nan)):
        assert regressions(compare([good], [bad])) == [f"a: {bad.doubt}"]
        assert regressions(compare([bad], [bad])) == regressions(compare([good], [good])) == []
    assert regressions(compare([case()], [replace(failed, hardware=case().hardware | {"GPU": "H"})])) == []


def test_a_stage_that_was_cut_short_has_no_time_and_the_check_and_the_end_of_a_trace_are_its_doubt(
    tmp_path: Path,
) -> None:
    rows = records([1.0] * 4)
    begun = next(i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == "VAE_Decoding")
    cut = read_back(tmp_path, rows[: begun + 1], outcome=Outcome("oom", "too much", "OutOfMemoryError"))
    whole = read_back(tmp_path, rows)
    assert not {"VAE_Decoding", "Total_Execution"} & spread(cut).keys()
    assert "Total_Execution" in spread(whole)
    unnamed = read_back(tmp_path, records([1.0] * 4, unnamed_s=9.0))
    assert [each.doubt for each in side_of([cut, whole, unnamed])] == ["ended with oom", "", "check: unaccounted time"]


def test_only_measures_make_a_case_worse() -> None:
    comparison = compare([case()], [case(stages={"T5_Encoding": (9, None)})])
    assert verdict(comparison, "T5_Encoding") == "slower"
    assert regressions(comparison) == []
    assert regressions(compare([case()], [case(step_s=2)])) == ["a: s/step slower (2.00 times)"]


def on_gpu(*uuids: str, **changes: Any) -> SideCase:
    return replace(case(**changes), gpu_uuids=frozenset(uuids))


def test_another_gpu_of_the_name_is_named_and_only_what_holds_across_gpus_is_judged() -> None:
    figures = {"step_s": (1.0, 0.001), "gpu_mem_allocated_bytes": (2e9, None), "first_step_s": (3.0, None)}
    here, there = on_gpu("GPU-0", figures=figures), on_gpu("GPU-1", figures=figures | {"first_step_s": (3.6, None)})
    comparison = compare([here], [there])
    assert verdicts(comparison, "First step", "T5_Encoding") == {"no verdict: another GPU of this name"}
    assert verdicts(comparison, "s/step", "Peak GPU memory") == {"same"}
    assert regressions(comparison) == []
    text = render(comparison)
    assert "differ in all cases**: GPU: another one of this name\n" in text
    assert "1 no verdict: another GPU of this name, 2 same" in text
    for step_s, expected in ((1.045, "same"), (1.06, "slower"), (0.94, "faster")):
        assert verdict(compare([on_gpu("GPU-0")], [on_gpu("GPU-1", step_s=step_s)]), "s/step") == expected
    assert verdict(compare([on_gpu("GPU-0")], [on_gpu("GPU-0", step_s=1.045)]), "s/step") == "slower"
    failed = on_gpu("GPU-1", status="oom", doubt="ended with oom")
    assert regressions(compare([on_gpu("GPU-0")], [failed])) == ["a: ended with oom"]


def test_all_gpus_of_a_case_decide_whether_it_ran_on_others() -> None:
    both = on_gpu("GPU-0", "GPU-1")
    for old, new, found in (
        (both, on_gpu("GPU-0", "GPU-2"), ["another GPU"]),
        (both, on_gpu("GPU-1", "GPU-0"), []),
        # One that was not identified may be any.
        (both, on_gpu(), []),
    ):
        assert [each["kind"] for each in as_json(compare([old], [new]))["differences"]] == found


def test_equal_runs_of_the_kept_results_are_no_change() -> None:
    for names, of_one_gpu in (
        (("02_Efficiency_Mode_720p", "02_5B_Efficiency_Mode_704p"), False),
        (("03_5B_Performance_Mode_704p", "03_Performance_Mode_720p"), True),
    ):
        one, other = (side_of([kept(name)]) for name in names)
        for old, new in ((one, other), (other, one)):
            comparison = compare(old, new)
            assert regressions(comparison) == []
            assert verdicts(comparison, "s/step", "Peak GPU memory") == {"same"}
            assert not of_one_gpu or set(comparison.rows["verdict"]) == {"same", "not judged", "n/a"}


def test_what_was_zero_and_is_more_has_no_ratio_and_is_named_and_without_a_pair_nothing_is_told() -> None:
    sides = ([case(figures={"gpu_mem_allocated_bytes": (value, None)})] for value in (0, 2e9))
    assert regressions(compare(*sides)) == ["a: Peak GPU memory more"]
    text = render(compare([case("a")], [with_settings("b", seed=3)]))
    assert "0 of both sides, 1 only in the baseline, 1 only in this run" in text
    assert "differ in all cases" not in text
