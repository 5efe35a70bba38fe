"""When a change counts."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from measured_cases import case, measured_earlier, overview, verdict, with_settings
from reports import case_trace, full_case, made, read_back
from traces import records
from wanbench.compare.change_verdict import compare, compared, regressions, verdict_of
from wanbench.compare.export import as_json
from wanbench.compare.match import Pair
from wanbench.compare.measured_cases import Figure, MeasuredCase, measured_case
from wanbench.compare.policy import POLICIES
from wanbench.report.comparison_markdown import render

GOLDEN = ROOT / "tests/data/comparison.json"
STEPS = [3.0, 1.0, 1.01, 0.99, 1.0]


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


def test_the_spread_of_both_sides_decides() -> None:
    policy = POLICIES["step_s"]
    assert verdict_of(policy, Figure(1.0, 0.001), Figure(1.1, 0.001)) == "slower"
    for errors in ((0.04, 0.001), (0.001, 0.04)):
        assert verdict_of(policy, Figure(1.0, errors[0]), Figure(1.1, errors[1])) == "within the spread"
    # Neither alone would be enough: the errors of a difference add up as squares.
    assert verdict_of(policy, Figure(1.0, 0.03), Figure(1.1, None)) == "slower"
    assert verdict_of(policy, Figure(1.0, 0.03), Figure(1.1, 0.03)) == "within the spread"


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


@pytest.mark.parametrize(
    ("gpu", "slower", "expected"),
    [
        ("none", 1.9, "same"),
        ("none", 2.2, "slower"),
        ("none", 0.45, "faster"),
        ("none", 0.55, "same"),
        ("G", 1.9, "slower"),
    ],
)
def test_on_the_cpu_a_time_must_double(gpu: str, slower: float, expected: str) -> None:
    """Equal tiny cases were 1.28 times apart in s/step and 1.52 in decoding, with other processes at 3 % of the CPU."""
    both = compare("old", [on_machine(None, gpu)], [on_machine(None, gpu, slower)])
    assert {verdict(both.cases[0], name) for name in ("s/step", "VAE decoding")} == {expected}
    assert "one is more than 2 times the other" in render(both)


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
    sides = [replace(on_machine(66.0, "G"), gpu_uuids=frozenset({f"GPU-{number}"})) for number in range(2)]
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
