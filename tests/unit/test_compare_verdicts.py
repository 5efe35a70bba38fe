"""When a change is more than chance; the comparison as files, what ends the command with an error, and baselines."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from example_cases import tiny_case
from measured_cases import (
    case,
    compare,
    kept_videos,
    measured_earlier,
    render,
    spread,
    verdict,
    verdicts,
)
from reports import case_trace, full_case, read_back, tables
from traces import GPU, LIMITS, records, trace_of, write
from wanbench.analysis.tables import typed
from wanbench.compare.baseline import baseline_files
from wanbench.compare.change_verdict import change_of, compared_runs
from wanbench.compare.sides import SideCase, side_of
from wanbench.registry.metrics import COMPARISON_COLUMNS
from wanbench.registry.policies import POLICIES
from wanbench.report.render import rendered
from wanbench.util.errors import InputError

STEPS = [3.0, 1.0, 1.01, 0.99, 1.0]
BUSY = "no verdict: busy machine"


@pytest.mark.parametrize("measure", ["step_s", "gpu_mem_allocated_bytes"])
def test_a_change_needs_to_pass_the_share_the_bound_and_the_spread(measure: str) -> None:
    policy = POLICIES[measure]
    even = policy.absolute / policy.share  # where both bounds are the same change
    worse, better = ("slower", "faster") if policy.unit == "s" else ("more", "less")

    def changed(value: float, change: float, spread: float = 0.0) -> str:
        return change_of(policy, value, value + change, spread)

    share_only = changed(even / 10, 0.5 * policy.absolute)
    absolute_only = changed(even * 10, 2 * policy.absolute)
    assert (share_only, absolute_only) == ("same", "same")
    assert changed(even, 1.1 * policy.absolute) == worse
    assert changed(even, -1.1 * policy.absolute) == better
    assert changed(even, 1.1 * policy.absolute, 1.2 * policy.absolute) == "within the spread"
    assert changed(even, 0.9 * policy.absolute, 1.2 * policy.absolute) == "same"
    assert changed(even, 1.3 * policy.absolute, 1.2 * policy.absolute) == worse


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((0.001, 0.001), "slower"),
        ((0.001, 0.04), "within the spread"),
        # Neither alone would be enough: the errors of a difference add up as squares.
        ((0.03, None), "slower"),
        ((0.03, 0.03), "within the spread"),
    ],
)
def test_the_spread_of_both_sides_decides(errors: tuple[float | None, float | None], expected: str) -> None:
    sides = ([case(figures={"step_s": (value, error)})] for value, error in zip((1.0, 1.1), errors))
    assert verdict(compare(*sides), "s/step") == expected


def test_a_change_within_the_spread_is_never_the_same_and_is_named_beside_what_is_worse() -> None:
    fast = {"step_s": (0.024, 0.001), "vae_decoding_s": (1.0, None)}
    slow = {"step_s": (1.138, 0.534), "vae_decoding_s": (9.0, None)}
    better, worse = (compare([case(figures=a)], [case(figures=b)]) for a, b in ((slow, fast), (fast, slow)))
    assert verdict(better, "s/step") == "within the spread"
    assert verdict(better, "VAE decoding") == "faster"
    assert better["worse"] == []
    (line,) = worse["worse"]
    assert line == "a: VAE decoding slower (9.00 times), s/step more, but within the spread (47.42 times)"
    unclear = compare(*([case(figures={"step_s": figures["step_s"]})] for figures in (fast, slow)))
    assert unclear["worse"] == []
    assert unclear["verdicts"]["within the spread"] == 1


def test_a_spread_is_that_of_the_steps_and_one_value_has_none(tmp_path: Path) -> None:
    figures = spread(read_back(tmp_path, records(STEPS)))
    # Median deviation 0.005 of four steps: sqrt(pi / 2) * 1.4826 * 0.005 / sqrt(4).
    assert figures["step_s"] == (1.0, pytest.approx(0.004645, rel=1e-3))
    assert figures["first_step_s"] == (3.0, None)
    comparison = compare([case()], [case(figures={"gpu_mem_allocated_bytes": (4e9, None)})])
    (row,) = tables(render(comparison).partition("## What changed")[2], "Case")[0]
    assert list(row.values())[2:] == ["GB", "2.00", "4.00", "2.00", "none", "more"]


def test_a_trace_held_against_itself_has_no_verdict_and_one_of_another_run_has() -> None:
    now = case(started_at="now")
    for other, expected in (
        (now, "not measured again"),
        (case(started_at="later"), "same"),
        (case(started_at="now", step_s=1.001), "same"),
    ):
        comparison = compare([now], [other])
        assert verdict(comparison, "s/step") == expected
        told = "- **Not measured again**: 1 of 1 cases are the same traces" in render(comparison)
        assert told == (expected == "not measured again")


def on_machine(busy_pct: float | None, gpu: str, slower: float = 1.0, **settings: Any) -> list[SideCase]:
    """A case whose times are so many times longer."""
    names = ("step_s", "vae_decoding_s", "first_step_s", "text_encoding_s", "generation_s")
    figures = dict.fromkeys(names, (10 * slower, None)) | {"gpu_mem_allocated_bytes": (2e9, None)}
    return [case(settings=settings, busy_pct=busy_pct, hardware={"GPU": gpu}, figures=figures)]


def test_on_the_cpu_a_time_must_double() -> None:
    """Equal tiny cases were 1.28 times apart in s/step and 1.52 in decoding, with other processes at 3 % of the CPU."""
    for gpu, slower, expected in (
        ("none", 1.9, "same"),
        ("none", 2.2, "slower"),
        ("none", 0.45, "faster"),
        ("none", 0.55, "same"),
        ("G", 1.9, "slower"),
    ):
        both = compare(on_machine(None, gpu), on_machine(None, gpu, slower))
        assert verdicts(both, "s/step", "VAE decoding", "T5 encoding") == {expected}


@pytest.mark.parametrize("sides", [(66.0, None), (None, 66.0)])
def test_on_a_busy_machine_what_the_cpu_decides_has_no_verdict(sides: tuple[float | None, float | None]) -> None:
    old, new = sides
    on_cpu = compare(on_machine(old, "none"), on_machine(new, "none", 20))
    assert on_cpu["worse"] == []
    assert verdicts(on_cpu, "s/step", "First step", "T5 encoding") == {BUSY}
    assert verdict(on_cpu, "Peak GPU memory") == "same"
    assert "CPU that other processes used: " in render(on_cpu)
    on_gpu = compare(on_machine(old, "G"), on_machine(new, "G", 20))
    assert verdicts(on_gpu, "First step", "T5 encoding", "Warm generation", "T5_Encoding") == {BUSY}
    assert verdicts(on_gpu, "s/step", "VAE decoding") == {"slower"}
    assert verdict(compare(*(on_machine(pct, "G", offload="model") for pct in sides)), "s/step") == BUSY


def test_steps_are_three_stages_and_initialisation_of_random_weights_is_not_judged(tmp_path: Path) -> None:
    experts, busy = ["high_noise"] * 2 + ["low_noise"] * 2, {".*": {"cpu_pct": 80.0, "process_cpu_pct": 14.0}}
    trace = case_trace(tmp_path, full_case(model="T2V-A14B", steps=4), experts=experts, measures=busy)
    # What others used of the CPU is told where it is more than the limit.
    assert [side_of([trace], limit)[0].busy_pct for limit in (10.0, 70.0)] == [66.0, None]
    comparison = compare(measured_earlier(trace), side_of([trace]))
    stages = [row["name"] for row in comparison["rows"] if row["kind"] == "stage"]
    assert [name for name in stages if "Step" in name] == ["First_Step", "Typical_Step", "Switch_Step"]
    assert verdict(comparison, "Model_Initialization") == "not judged"
    assert verdict(comparison, "Model initialisation") == "n/a"
    loaded = case_trace(tmp_path, full_case(weights="pretrained", steps=4))
    both = compare(measured_earlier(loaded), side_of([loaded]))
    assert verdicts(both, "Model initialisation", "Model_Initialization") == {"same"}


def test_what_is_an_error_of_the_command_is_named() -> None:
    def errors(**comparison: Any) -> str:
        nothing = dict.fromkeys(("worse", "videos", "excluded", "cases", "rows", "not_measured_again"), ())
        return rendered("comparison_errors.j2", **nothing | comparison).strip()

    assert "(--config grid=FILE names another)" in errors()
    assert "all cases that belong together made different videos" in errors(cases=[{"case": "a"}])
    both = [{"case": "a"}, {"case": "b"}]
    assert errors(cases=both, rows=both, not_measured_again=["a"]) == ""
    assert "nothing was measured again" in errors(cases=both, rows=both, not_measured_again=["a", "b"])
    lines = errors(cases=both, rows=both, worse=["a: slower"], excluded=["b: \x1b stale"]).splitlines()
    assert lines == ["Worse than the baseline:", "a: slower", "", "Could not be compared:", "b: \\x1b stale"]


def test_the_comparison_as_json(tmp_path: Path) -> None:
    for side, step_s, torch in (("old", 2.0, "2.11.0"), ("new", 2.5, "2.12.0")):
        gpu = GPU | {"packages": {"torch": torch, "diffusers": "0.42.1"}}
        for name, settings in (("a", {}), (side, {"offload": "model" if side == "old" else "group"})):
            case = replace(tiny_case(**settings), name=name)
            write(tmp_path / side, trace_of(records([step_s + 1, step_s, step_s], environment=gpu), case=case))
    (tmp_path / "old/broken.json").write_text("{}")
    old, new = (sorted((tmp_path / side).iterdir()) for side in ("old", "new"))
    stale = {"b": "b.json: stale"}
    comparison = compared_runs("old", old, new, stale, LIMITS, 10.0, kept_videos(tmp_path))
    content = json.loads(json.dumps(comparison).replace(f"{tmp_path}/", ""))
    assert content == json.loads((ROOT / "tests/data/comparison.json").read_text("utf-8"))
    assert list(typed(content["rows"], COMPARISON_COLUMNS)) == list(content["rows"][0])


def test_traces_are_found_in_results_and_in_a_folder_of_traces(tmp_path: Path) -> None:
    kept = ROOT / "results/reference/h200"
    assert baseline_files(kept, tmp_path) == baseline_files(kept / "traces", tmp_path)
    assert len(baseline_files(kept, tmp_path)) == len(list((kept / "traces").glob("*.json.gz")))


def test_what_can_be_no_baseline_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This run itself, two traces of a case, and what holds none."""
    (tmp_path / "results/traces").mkdir(parents=True)
    file = tmp_path / "results/traces/a.json"
    file.write_text("{}")
    with pytest.raises(InputError, match="is where this run writes its traces; allowed: a copy of it"):
        baseline_files(tmp_path / "results", tmp_path / "results")
    file.with_name("a.json.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.json and a\.json\.gz are the same case"):
        baseline_files(tmp_path / "results", tmp_path / "other")
    monkeypatch.chdir(ROOT)
    for path, problem in (("config", "holds no traces"), ("config/config.yaml", "is a file"), ("", "does not exist")):
        with pytest.raises(InputError, match=f"baseline {path or '.'}: {problem}; allowed: "):
            baseline_files(path, Path("results"))
