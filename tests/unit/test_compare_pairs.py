"""Which cases belong together, and when nothing may be said of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from measured_cases import case, overview, verdict, with_settings
from reports import case_trace, full_case, read_back
from traces import records
from wanbench.compare.change_verdict import compare, compared, regressions
from wanbench.compare.export import as_json
from wanbench.compare.match import Pair, match
from wanbench.compare.measured_cases import Figure, MeasuredCase, measured_case
from wanbench.compare.policy import OTHER_STAGE, POLICIES, MetricPolicy
from wanbench.measure.outcome import Outcome
from wanbench.report.comparison_markdown import render
from wanbench.trace.reader import read_trace

# --- which cases belong together ----------------------------------------------------------------------------------


def test_cases_match_by_name_and_settings_then_settings_then_name() -> None:
    old = [
        with_settings("a", seed=1),
        with_settings("b", seed=2),
        with_settings("c", seed=3),
        with_settings("x", seed=9),
    ]
    new = [
        with_settings("b", seed=1),
        with_settings("b2", seed=2),
        with_settings("c", seed=4),
        with_settings("y", seed=8),
    ]
    pairs, only_old, only_new = match(old, new)
    assert [(pair.old.name, pair.new.name) for pair in pairs] == [("a", "b"), ("b", "b2"), ("c", "c")]
    assert ([case.name for case in only_old], [case.name for case in only_new]) == (["x"], ["y"])


def test_a_label_and_a_limit_are_no_settings(tmp_path: Path) -> None:
    one, other = (
        measured_case(case_trace(tmp_path, replace(full_case(name), timeout_s=limit)))
        for name, limit in (("one", 100.0), ("two", 200.0))
    )
    assert one.settings == other.settings
    assert one.settings != measured_case(case_trace(tmp_path, full_case(offload="model"))).settings


@pytest.mark.parametrize(
    ("kind", "what", "old", "new"),
    [
        ("hardware", "logical cores", 16, 2),
        ("hardware", "GPU memory (bytes)", 80, 40),
        ("hardware", "platform", "Linux aarch64", "Linux riscv64"),
        ("software", "CUDA", "13.0", "12.8"),
        ("software", "accelerate", "1.15.0", None),
    ],
)
def test_what_a_trace_says_of_hardware_and_software_is_compared(kind: str, what: str, old: Any, new: Any) -> None:
    sides = [replace(case(), **{kind: getattr(case(), kind) | {what: value}}) for value in (old, new)]
    comparison = compare("old", [sides[0]], [sides[1]])
    shown = "n/a" if new is None else new
    assert f"differ in all cases**: {what} {old} -> {shown}" in render(comparison)
    assert verdict(comparison.cases[0], "s/step") == ("same" if kind == "software" else f"other {what}")


def test_all_gpus_of_a_case_decide_whether_it_ran_on_others() -> None:
    def on(*gpus: str) -> MeasuredCase:
        return replace(case(), gpu_uuids=frozenset(gpus))

    def differs(old: MeasuredCase, new: MeasuredCase) -> bool:
        return "GPU: another one of this name" in render(compare("old", [old], [new]))

    assert differs(on("GPU-0", "GPU-1"), on("GPU-0", "GPU-2"))
    assert not differs(on("GPU-0", "GPU-1"), on("GPU-1", "GPU-0"))


def test_how_often_is_no_setting_and_is_named() -> None:
    old = [case("a", how_often={"warmup": 0, "repeats": 3}), case("b", how_often={"warmup": 1, "repeats": 3})]
    comparison = compare("old", old, [case("a", step_s=2, how_often={"warmup": 0, "repeats": 5})])
    assert comparison.cases[0].old_case == "a"
    assert verdict(comparison.cases[0], "s/step") == "slower"
    text = render(comparison)
    assert "- Differs in: repeats 3 -> 5" in text
    assert "differ in all cases**: nothing" in text
    renamed, _, _ = match(old, [case("c", how_often={"warmup": 1, "repeats": 3})])
    assert [pair.old.name for pair in renamed] == ["b"]


def test_figures_of_a_cold_generation_beside_those_of_warm_ones_have_no_verdict(tmp_path: Path) -> None:
    once, often, more = (
        measured_case(case_trace(tmp_path, full_case(steps=4, repeats=repeats))) for repeats in (1, 3, 4)
    )
    assert (once.settings, once.cold_only, often.cold_only) == (often.settings, True, False)
    for old, new in ((once, often), (often, once)):
        comparison = compare("old", [old], [new])
        for name in ("s/step", "First step", "T5 encoding", "VAE decoding", "VAE_Decoding"):
            assert verdict(comparison.cases[0], name) == "no verdict: a cold generation beside warm ones", name
        # It grows by a third after the first generation (5B_704p_warm on an H200: 4.42 and 5.77 GB).
        assert verdict(comparison.cases[0], "Process memory") == "no verdict: a cold generation beside warm ones"
        assert verdict(comparison.cases[0], "Cold generation") == "same"
        assert verdict(comparison.cases[0], "Total duration") == "not judged"
        assert overview(comparison) == ("same: Cold generation; others: no verdict: a cold generation beside warm ones")
    assert verdict(compared(Pair(often, more)), "s/step") == "same"


# --- when nothing may be said -------------------------------------------------------------------------------------


def test_other_settings_are_shown_without_a_verdict() -> None:
    result = compared(Pair(case(), replace(with_settings("a", offload="model"), figures=case(step_s=9).figures)))
    assert verdict(result, "s/step") == "not comparable: offload none -> model"
    assert next(row.ratio for row in result.rows if row.name == "s/step") == 9
    assert verdict(result, "Warm generation") == "n/a"


@pytest.mark.parametrize(("key", "value"), [("model", "T2V-A14B"), ("task", "i2v"), ("size", "96*96"), ("frames", 9)])
def test_other_videos_are_not_compared_at_all(key: str, value: Any) -> None:
    comparison = compare("old", [case()], [with_settings("a", **{key: value})])
    assert comparison.cases[0].rows == ()
    assert f"{key} {case().settings[key]} -> {value}" in render(comparison).replace("\\*", "*")


@pytest.mark.parametrize(
    ("what", "value"), [("GPU", "H"), ("power limit (W)", 500.0), ("power limit (W)", None), ("CPU", "D")]
)
def test_other_hardware_is_shown_without_a_verdict(what: str, value: Any) -> None:
    moved = case(step_s=9, hardware=case().hardware | {what: value})
    comparison = compare("old", [case()], [moved])
    assert verdict(comparison.cases[0], "s/step") == f"other {what}"
    assert regressions(comparison) == []
    assert f"differ in all cases**: {what} {case().hardware[what]} ->" in render(comparison)


def test_other_software_is_named_and_judged() -> None:
    comparison = compare("old", [case()], [case(step_s=9, software={"torch": "2.12.0"})])
    assert verdict(comparison.cases[0], "s/step") == "slower"
    assert "differ in all cases**: torch 2.11.0 -> 2.12.0" in render(comparison)


def test_a_difference_that_not_all_cases_have_stands_with_its_case() -> None:
    old, new = (
        [case("a"), with_settings("b", seed=1)],
        [case("a", software={"torch": "2.12.0"}), with_settings("b", seed=1)],
    )
    text = render(compare("old", old, new))
    assert "differ in all cases**: nothing" in text
    assert "- Differs in: torch 2.11.0 -> 2.12.0" in text.split("## Case: a")[1].split("## Case: b")[0]
    assert "Differs in" not in text.split("## Case: b")[1]


def test_a_doubtful_or_unfinished_case_has_no_verdict_and_says_why() -> None:
    pair = Pair(case(doubt="check: step time changed"), case(step_s=9, status="oom", doubt="ended with oom"))
    assert verdict(compared(pair), "s/step") == "no verdict: baseline check: step time changed; this run ended with oom"


def test_how_a_case_ended_is_said_where_its_settings_differ_too() -> None:
    failed = replace(with_settings("a", offload="model"), status="error", doubt="ended with error")
    text = render(compare("old", [case()], [failed]))
    assert "not comparable: offload none -> model; this run ended with error" in text


def test_a_video_that_no_longer_consists_of_numbers_is_worse() -> None:
    good = case(output_finite=True)
    nan = case(output_finite=False, doubt="check: output not finite")
    assert regressions(compare("old", [good], [nan])) == ["a: check: output not finite"]
    assert regressions(compare("old", [nan], [nan])) == regressions(compare("old", [good], [good])) == []


def test_a_stage_that_was_cut_short_has_no_time(tmp_path: Path) -> None:
    rows = records([1.0] * 4)
    begun = next(i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == "VAE_Decoding")
    cut = measured_case(read_back(tmp_path, rows[: begun + 1], outcome=Outcome("oom", "too much", "OutOfMemoryError")))
    assert not {"VAE_Decoding", "Total_Execution"} & cut.stages.keys()
    assert "Total_Execution" in measured_case(read_back(tmp_path, records([1.0] * 4))).stages


def test_the_check_and_the_end_of_a_trace_are_its_doubt(tmp_path: Path) -> None:
    doubtful = measured_case(read_back(tmp_path, records([1.0] * 4, unnamed_s=9.0)))
    oom = measured_case(read_back(tmp_path, records([1.0]), outcome=Outcome("oom", "too much", "OutOfMemoryError")))
    assert doubtful.doubt == "check: unaccounted time"
    assert oom.doubt == "ended with oom"
    assert measured_case(read_back(tmp_path, records([1.0] * 4))).doubt is None


def test_a_case_that_ended_well_before_and_now_does_not_is_worse() -> None:
    failed = case(status="oom", doubt="ended with oom")
    assert regressions(compare("old", [case()], [failed])) == ["a: ended with oom"]
    assert regressions(compare("old", [failed], [failed])) == []
    elsewhere = replace(failed, hardware=case().hardware | {"GPU": "H"})
    assert regressions(compare("old", [case()], [elsewhere])) == []


def test_only_measures_make_a_case_worse() -> None:
    slow_stage = case(stages={"T5_Encoding": Figure(9)})
    comparison = compare("old", [case()], [slow_stage])
    assert verdict(comparison.cases[0], "T5_Encoding") == "slower"
    assert regressions(comparison) == []
    assert regressions(compare("old", [case()], [case(step_s=2)])) == ["a: s/step slower (2.00 times)"]


def on_another_gpu(**changes: Any) -> MeasuredCase:
    return replace(case(**changes), gpu_uuids=frozenset({"GPU-1"}))


def test_another_gpu_of_the_name_is_named_and_only_what_holds_across_gpus_is_judged() -> None:
    here = replace(case(), gpu_uuids=frozenset({"GPU-0"}), figures=case().figures | {"first_step_s": Figure(3.0)})
    there = replace(here, gpu_uuids=frozenset({"GPU-1"}), figures=here.figures | {"first_step_s": Figure(3.6)})
    comparison = compare("old", [here], [there])
    (row,) = (row for row in comparison.cases[0].rows if row.name == "First step")
    assert (row.ratio, row.verdict) == (pytest.approx(1.2), "no verdict: another GPU of this name")
    assert verdict(comparison.cases[0], "T5_Encoding") == "no verdict: another GPU of this name"
    assert [verdict(comparison.cases[0], name) for name in ("s/step", "Peak GPU memory")] == ["same", "same"]
    assert verdict(comparison.cases[0], "Warm generation") == "n/a"
    assert regressions(comparison) == []
    text = render(comparison)
    assert "differ in all cases**: GPU: another one of this name\n" in text
    assert overview(comparison) == "same: s/step, memory; others: no verdict: another GPU of this name"
    held = [replace(side, figures=side.figures | {"process_mem_bytes": Figure(4e9)}) for side in (here, there)]
    text = "same: s/step, Peak GPU memory; others: no verdict: another GPU of this name"
    assert overview(compare("old", [held[0]], [held[1]])) == text
    assert as_json(comparison)["differences"] == [{"kind": "another GPU", "what": "GPU", "old": "G", "new": "G"}]
    assert (
        "another GPU"
        not in render(compare("old", [here], [replace(there, gpu_uuids=frozenset({"GPU-0"}))])).split("## Rules")[0]
    )
    assert "another one" not in render(compare("old", [here], [replace(there, gpu_uuids=frozenset())]))


def test_across_gpus_the_bound_is_above_what_two_of_them_differ_by() -> None:
    here = replace(case(), gpu_uuids=frozenset({"GPU-0"}))
    for step_s, expected in ((1.019, "same"), (1.045, "same"), (1.06, "slower"), (0.94, "faster")):
        result = compared(Pair(here, on_another_gpu(step_s=step_s)))
        assert verdict(result, "s/step") == expected
    assert verdict(compared(Pair(here, replace(here, figures={"step_s": Figure(1.045)}))), "s/step") == "slower"
    more = replace(on_another_gpu(), figures={"gpu_mem_bytes": Figure(2.2e9)})
    assert regressions(compare("old", [here], [more])) == ["a: Peak GPU memory more (1.10 times)"]
    failed = on_another_gpu(status="oom", doubt="ended with oom")
    assert regressions(compare("old", [here], [failed])) == ["a: ended with oom"]


@pytest.mark.parametrize("policy", [*POLICIES.values(), OTHER_STAGE], ids=lambda policy: policy.measure)
def test_every_rule_says_what_holds_across_gpus(policy: MetricPolicy) -> None:
    assert policy.other_gpu_reason
    assert policy.other_gpu_share is None or policy.judged
    assert policy.measure in ("step_s", "gpu_mem_bytes") or policy.other_gpu_share is None


def test_two_gpus_of_the_kept_results_with_equal_settings_are_no_change() -> None:
    traces = ROOT / "results/reference/h200/traces"
    names = ("02_Efficiency_Mode_720p", "02_5B_Efficiency_Mode_704p")
    old, new = (measured_case(read_trace(traces / f"{name}.json.gz")) for name in names)
    assert (old.settings, old.hardware) == (new.settings, new.hardware)
    comparison = compare("h200", [old], [new])
    assert regressions(comparison) == []
    assert verdict(comparison.cases[0], "s/step") == verdict(comparison.cases[0], "Peak GPU memory") == "same"


def test_equal_runs_of_one_gpu_of_the_kept_results_are_no_change() -> None:
    traces = ROOT / "results/reference/h200/traces"
    names = ("03_5B_Performance_Mode_704p", "03_Performance_Mode_720p")
    one, other = (measured_case(read_trace(traces / f"{name}.json.gz")) for name in names)
    assert (one.settings, one.gpu_uuids, one.software) == (other.settings, other.gpu_uuids, other.software)
    for old, new in ((one, other), (other, one)):
        verdicts = {row.verdict for row in compared(Pair(old, new)).rows}
        assert verdicts == {"same", "not judged", "n/a"}


def test_without_a_pair_nothing_is_said_of_differences() -> None:
    text = render(compare("old", [case("a")], [with_settings("b", seed=3)]))
    assert "0 of both sides, 1 only in the baseline, 1 only in this run" in text
    assert "differ in all cases" not in text


def test_what_was_zero_and_is_more_has_no_ratio_and_is_named() -> None:
    nothing = case(figures={"gpu_mem_bytes": Figure(0)})
    comparison = compare("old", [nothing], [case(figures={"gpu_mem_bytes": Figure(2e9)})])
    assert regressions(comparison) == ["a: Peak GPU memory more"]
    assert "- a: Peak GPU memory more\n" in render(comparison)
