"""When a change counts, which cases belong together, and when nothing may be said."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from reports import case_trace, full_case, made, read_back
from traces import records
from wanbench.measure.outcome import Outcome
from wanbench.report.compare.export import as_json
from wanbench.report.compare.markdown import render
from wanbench.report.compare.match import Pair, match
from wanbench.report.compare.measured import Figure, MeasuredCase, measured_case
from wanbench.report.compare.policy import OTHER_STAGE, POLICIES, MetricPolicy
from wanbench.report.compare.verdict import ComparedCase, Comparison, compare, compared, regressions, verdict_of
from wanbench.trace.reader import Trace, read_trace

GOLDEN = ROOT / "tests/data/comparison.json"
STEPS = [3.0, 1.0, 1.01, 0.99, 1.0]


def case(name: str = "a", *, step_s: float = 1.0, **changes: Any) -> MeasuredCase:
    settings = {"model": "TI2V-5B", "task": "t2v", "size": "64*64", "frames": 5, "offload": "none", "weights": "random"}
    hardware = {"GPU": "G", "power limit (W)": 700.0, "CPU": "C"}
    figures = {"step_s": Figure(step_s, 0.001), "gpu_mem_bytes": Figure(2e9)}
    whole = MeasuredCase(name, "ok", None, settings, hardware, {"torch": "2.11.0"}, figures, {"T5_Encoding": Figure(1)})
    return replace(whole, **changes)


def with_settings(name: str, **settings: Any) -> MeasuredCase:
    basis = case(name)
    return replace(basis, settings=basis.settings | settings)


def measured_earlier(trace: Trace) -> MeasuredCase:
    """The same figures as of another run."""
    return replace(measured_case(trace), started_at="2026-01-01T10:00:00+00:00")


def verdict(result: ComparedCase, name: str) -> str:
    return next(row.verdict for row in result.rows if row.name == name)


def overview(comparison: Comparison) -> str:
    """What the overview says of the one case."""
    row = next(line for line in render(comparison).splitlines() if line.startswith(("| a ", "| full ")))
    return row.strip("|").split("|")[-1].strip()


# --- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", [policy.measure for policy in POLICIES.values() if policy.judged])
def test_a_change_counts_only_past_the_share_the_bound_and_the_spread(measure: str) -> None:
    policy = POLICIES[measure]
    even = policy.absolute / policy.share  # where both bounds are the same change
    worse, better = ("slower", "faster") if policy.unit == "s" else ("more", "less")
    judge = partial(verdict_of, policy)

    def changed(value: float, change: float, error: float | None = None) -> str:
        return judge(Figure(value, error), Figure(value + change))

    share_only = changed(even / 10, 0.5 * policy.absolute)
    absolute_only = changed(even * 10, 2 * policy.absolute)
    assert (share_only, absolute_only) == ("same", "same")
    assert changed(even, 1.1 * policy.absolute) == worse
    assert changed(even, -1.1 * policy.absolute) == better
    assert changed(even, 1.1 * policy.absolute, 0.4 * policy.absolute) == "within the spread"
    assert changed(even, 0.9 * policy.absolute, 0.4 * policy.absolute) == "same"
    assert changed(even, 1.3 * policy.absolute, 0.4 * policy.absolute) == worse


def test_the_larger_spread_of_both_sides_decides() -> None:
    policy = POLICIES["step_s"]
    assert verdict_of(policy, Figure(1.0, 0.001), Figure(1.1, 0.001)) == "slower"
    for errors in ((0.04, 0.001), (0.001, 0.04)):
        assert verdict_of(policy, Figure(1.0, errors[0]), Figure(1.1, errors[1])) == "within the spread"


def test_a_change_within_the_spread_is_never_the_same_and_is_named_beside_what_is_worse() -> None:
    fast = {"step_s": Figure(0.024, 0.001), "vae_decoding_s": Figure(1.0)}
    slow = {"step_s": Figure(1.138, 0.534), "vae_decoding_s": Figure(9.0)}
    better, worse = (compare("old", [case(figures=a)], [case(figures=b)]) for a, b in ((slow, fast), (fast, slow)))
    assert verdict(better.cases[0], "s/step") == "within the spread"
    assert "s/step within the spread, VAE decoding faster" in render(better)
    assert regressions(better) == []
    (line,) = regressions(worse)
    assert line == "a: VAE decoding slower (9.00 times), s/step more, but within the spread (47.42 times)"
    unclear = compare("old", [case(figures={"step_s": fast["step_s"]})], [case(figures={"step_s": slow["step_s"]})])
    assert regressions(unclear) == []
    assert as_json(unclear)["verdicts"]["within the spread"] == 1


def test_what_was_not_measured_or_is_only_shown_has_no_verdict() -> None:
    assert verdict_of(POLICIES["step_s"], Figure(), Figure(1.0)) == "n/a"
    assert verdict_of(POLICIES["step_s"], Figure(1.0), Figure()) == "n/a"
    assert verdict_of(POLICIES["total_duration_s"], Figure(1.0), Figure(9.0)) == "not judged"


def test_a_spread_is_that_of_the_steps_and_one_value_has_none(tmp_path: Path) -> None:
    figures = measured_case(read_back(tmp_path, records(STEPS))).figures
    assert figures["step_s"].value == 1.0
    # Median deviation 0.005 of four steps: sqrt(pi / 2) * 1.4826 * 0.005 / sqrt(4).
    assert figures["step_s"].error == pytest.approx(0.004645, rel=1e-3)
    assert figures["first_step_s"] == Figure(3.0, None)
    (row,) = (row for row in compared(Pair(case(), case())).rows if row.name == "Peak GPU memory")
    assert row.spread is None
    assert "none" in render(compare("old", [case()], [case()])).split("Peak GPU memory")[1].splitlines()[0]


def test_a_trace_held_against_itself_has_no_verdict_and_one_of_another_run_has() -> None:
    once = case(started_at="2026-11-23T10:00:00+00:00")
    itself = compare("old", [once, case("b")], [once, case("b", step_s=1.001)])
    assert verdict(itself.cases[0], "s/step") == "not measured again"
    assert verdict(itself.cases[1], "s/step") == "same"
    assert "- **Not measured again**: 1 of 2 cases are the same traces" in render(itself)
    for other in (replace(once, started_at="2026-11-24T10:00:00+00:00"), replace(once, figures={"step_s": Figure(1)})):
        again = compare("old", [once], [other])
        assert verdict(again.cases[0], "s/step") == "same"
        assert "Not measured again**" not in render(again)


def on_machine(busy_pct: float | None, gpu: str, slower: float = 1.0, **settings: Any) -> MeasuredCase:
    """A case whose times are so many times longer."""
    basis = with_settings("a", **settings)
    names = ("step_s", "vae_decoding_s", "first_step_s", "text_encoding_s", "warm_generation_s")
    figures = {name: Figure(10 * slower) for name in names} | {"gpu_mem_bytes": Figure(2e9)}
    return replace(basis, busy_pct=busy_pct, hardware=basis.hardware | {"GPU": gpu}, figures=figures)


BUSY = "no verdict: busy machine"


@pytest.mark.parametrize("sides", [(66.0, None), (None, 66.0), (66.0, 30.0)])
def test_on_a_busy_machine_nothing_is_said_of_what_the_cpu_decides(sides: tuple[float | None, float | None]) -> None:
    old, new = sides
    on_cpu = compare("old", [on_machine(old, "none")], [on_machine(new, "none", 20)])
    assert regressions(on_cpu) == []
    assert {verdict(on_cpu.cases[0], name) for name in ("s/step", "First step", "T5 encoding")} == {BUSY}
    assert verdict(on_cpu.cases[0], "Peak GPU memory") == "same"
    assert "## On a busy machine\n\n- a: CPU that other processes used: " in render(on_cpu)
    assert "- Busy machine: CPU that other processes used: " in render(on_cpu)
    on_gpu = compare("old", [on_machine(old, "G")], [on_machine(new, "G", 20)]).cases[0]
    assert {verdict(on_gpu, name) for name in ("First step", "T5 encoding", "Warm generation", "T5_Encoding")} == {BUSY}
    assert {verdict(on_gpu, name) for name in ("s/step", "VAE decoding")} == {"slower"}
    offloaded = [on_machine(pct, "G", offload="model") for pct in sides]
    assert verdict(compare("old", *([case] for case in offloaded)).cases[0], "s/step") == BUSY


def test_the_overview_says_which_measures_are_the_same_where_others_have_no_verdict() -> None:
    """As a case on the CPU whose step took 0.08 of the time: its memory was the same."""

    def said(gpu: str, slower: float = 1.0, **changes: Any) -> str:
        old, new = on_machine(66.0, gpu), on_machine(30.0, gpu, slower)
        return overview(compare("old", [old], [replace(new, **changes)]))

    assert said("none", 0.08) == "same: memory; others: no verdict: busy machine"
    assert said("G", 1.0) == "same: s/step, VAE decoding, memory; others: no verdict: busy machine"
    slower = "s/step slower, VAE decoding slower; same: memory; others: no verdict: busy machine"
    assert said("G", 20.0) == slower
    more = said("none", figures=on_machine(None, "none").figures | {"gpu_mem_bytes": Figure(4e9)})
    assert more == "Peak GPU memory more; others: no verdict: busy machine"
    assert said("none", figures={"step_s": Figure(1.0)}) == "no verdict: busy machine"
    sides = [replace(on_machine(66.0, "G"), gpu_uuid=f"GPU-{number}") for number in range(2)]
    both = "same: s/step, memory; others: no verdict: another GPU of this name, busy machine"
    assert overview(compare("old", sides[:1], sides[1:])) == both
    quiet = on_machine(None, "G")
    assert overview(compare("old", [quiet], [on_machine(None, "G", 1.001)])) == "same"


def test_on_a_machine_that_was_not_busy_everything_has_its_verdict() -> None:
    quiet = compare("old", [on_machine(None, "none")], [on_machine(None, "none", 20)])
    assert {verdict(quiet.cases[0], name) for name in ("s/step", "First step", "T5 encoding")} == {"slower"}
    assert quiet.cases[0].busy is None
    assert "- Busy machine:" not in render(quiet)
    assert "## On a busy" not in render(quiet)


def test_what_others_used_of_the_cpu_is_read_from_a_trace(tmp_path: Path) -> None:
    share = {"cpu_pct": 80.0, "process_cpu_pct": 14.0}
    trace = made(tmp_path, full_case(), measures={".*": share})
    assert [measured_case(trace, limit).busy_pct for limit in (10.0, 70.0)] == [66.0, None]


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
        assert verdict(comparison.cases[0], "Cold generation") == "same"
        assert verdict(comparison.cases[0], "Total duration") == "not judged"
        assert overview(comparison) == (
            "same: Cold generation, memory; others: no verdict: a cold generation beside warm ones"
        )
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
    return replace(case(**changes), gpu_uuid="GPU-1")


def test_another_gpu_of_the_name_is_named_and_only_what_holds_across_gpus_is_judged() -> None:
    here = replace(case(), gpu_uuid="GPU-0", figures=case().figures | {"first_step_s": Figure(3.0)})
    there = replace(here, gpu_uuid="GPU-1", figures=here.figures | {"first_step_s": Figure(3.6)})
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
    assert "another GPU" not in render(compare("old", [here], [replace(there, gpu_uuid="GPU-0")])).split("## Rules")[0]
    assert "another one" not in render(compare("old", [here], [replace(there, gpu_uuid=None)]))


def test_across_gpus_the_bound_is_above_what_two_of_them_differ_by() -> None:
    here = replace(case(), gpu_uuid="GPU-0")
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
    assert (one.settings, one.gpu_uuid, one.software) == (other.settings, other.gpu_uuid, other.software)
    for old, new in ((one, other), (other, one)):
        verdicts = {row.verdict for row in compared(Pair(old, new)).rows}
        assert verdicts == {"same", "not judged", "n/a"}


def test_without_a_pair_nothing_is_said_of_differences() -> None:
    text = render(compare("old", [case("a")], [with_settings("b", seed=3)]))
    assert "0 compared, 1 only in the baseline, 1 only in this run" in text
    assert "differ in all cases" not in text


def test_what_was_zero_and_is_more_has_no_ratio_and_is_named() -> None:
    nothing = case(figures={"gpu_mem_bytes": Figure(0)})
    comparison = compare("old", [nothing], [case(figures={"gpu_mem_bytes": Figure(2e9)})])
    assert regressions(comparison) == ["a: Peak GPU memory more"]
    assert "- a: Peak GPU memory more\n" in render(comparison)


# --- from traces to files -----------------------------------------------------------------------------------------


def test_steps_are_three_stages_and_initialisation_of_random_weights_is_not_judged(tmp_path: Path) -> None:
    trace = case_trace(tmp_path, full_case(model="T2V-A14B", steps=4), experts=["high_noise"] * 2 + ["low_noise"] * 2)
    result = compared(Pair(measured_earlier(trace), measured_case(trace)))
    stages = {row.name: row.verdict for row in result.rows if row.kind == "stage"}
    assert [name for name in stages if "Step" in name] == ["First_Step", "Typical_Step", "Switch_Step"]
    assert stages["Model_Initialization"] == "not judged"
    assert verdict(result, "Model initialisation") == "n/a"
    loaded = case_trace(tmp_path, full_case(weights="pretrained", steps=4))
    assert verdict(compared(Pair(measured_earlier(loaded), measured_case(loaded))), "Model initialisation") == "same"
