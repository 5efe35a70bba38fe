"""The verdict on a case: what limits do to it, and which generations are excluded for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from example_cases import tiny_case
from reports import figures_of, report, rules, tables
from traces import GPU, LIMITS, S, host_samples, records, trace_of, write
from wanbench.analysis.collect import collect, judged
from wanbench.analysis.tables import cases_table, stages_table
from wanbench.compare.sides import side_of
from wanbench.telemetry.samples import Samples
from wanbench.trace.reader import Trace, read_trace
from wanbench.trace.verdict import Limits, step_time_change


def steps(times_s: list[float]) -> list[tuple[int, float]]:
    return list(enumerate(times_s, start=1))


# 03_Max_Quality_704p: steps 1 to 38 at 15.03 s, then 6.88 s; another process had the GPU.
REFERENCE = steps([15.03 + 0.01 * (i % 3) for i in range(38)] + [6.88] * 11)


@pytest.mark.parametrize(
    "limits",
    [{"step_change_pct": 120}, {"step_change_s": 8.2}, {"step_change_deviations": 2000}, {"step_change_steps": 25}],
    ids=lambda limits: next(iter(limits)),
)
def test_each_limit_of_a_step_time_change_can_pass_over_it(limits: dict[str, float]) -> None:
    assert step_time_change(REFERENCE, LIMITS) == pytest.approx({"step": 39, "before_s": 15.04, "after_s": 6.88})
    assert step_time_change(REFERENCE, replace(LIMITS, **limits)) is None


@pytest.mark.parametrize(
    "times_s",
    [
        [6.88 + 0.01 * (i % 4) for i in range(49)],
        [1.0] * 20 + [9.0] + [1.0] * 20,
        [1.0, 1.3, 0.9, 1.2, 0.8, 1.1, 1.3, 0.9, 1.2, 1.0],
        [2.0 - 0.01 * (i > 20) for i in range(40)],
        [0.010] * 10 + [0.014] * 10,
        [1.0] * 5,
        [],
    ],
    ids=["steady", "one slow step", "noise", "1 percent", "4 ms", "too few", "none"],
)
def test_noise_and_a_single_slow_step_are_no_change(times_s: list[float]) -> None:
    assert step_time_change(steps(times_s), LIMITS) is None


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_long_gap_is_a_fault_however_long_the_case(tmp_path: Path) -> None:
    def with_gap(gap_s: float) -> Samples:
        seen = host_samples(450)
        kept = [i for i, time_ns in enumerate(seen.times_ns) if not 100 <= time_ns / S - 0.01 < 100 + gap_s - 0.15]
        return replace(seen, times_ns=[seen.times_ns[i] for i in kept], values=[seen.values[i] for i in kept])

    for gap_s, faults in ((0.6, []), (1.5, ["sampling_gaps"])):
        trace = read_trace(write(tmp_path, trace_of(records([40.0] * 10), samples=with_gap(gap_s))))
        assert trace.quality["sample_coverage_pct"] > 99
        assert trace.quality["greatest_sample_gap_s"] == pytest.approx(gap_s, abs=0.11)
        assert trace.quality["failed_checks"] == faults


def test_the_report_judges_with_the_limits_that_are_in_force(tmp_path: Path) -> None:
    file = write(tmp_path, trace_of(records([1.0] * 3, unnamed_s=2.0)))
    assert read_trace(file).quality["failed_checks"] == ["unaccounted_time"]
    assert Limits(**read_trace(file).quality["limits"]) == LIMITS
    for limits, faults in ((LIMITS, ["unaccounted_time"]), (replace(LIMITS, min_stage_coverage_pct=50), [])):
        ((trace,), _) = collect([file], None, limits)
        assert trace.quality["failed_checks"] == faults
        assert Limits(**trace.quality["limits"]) == limits
    # A change that the trace passes over can be one for the report.
    trace = read_trace(write(tmp_path, trace_of(records([1.0] * 5 + [1.08] * 5))))
    assert trace.quality["step_time_change"] is None
    stricter = judged(trace, replace(LIMITS, step_change_pct=5)).quality
    assert stricter["failed_checks"] == ["step_time_changed"]
    assert stricter["step_time_change"] == {"step": 5, "before_s": 1.0, "after_s": pytest.approx(1.08)}


# --- generations ------------------------------------------------------------------------------------------------

CLEAN = {"other_processes": 0, "other_processes_mem_bytes": 0, "clock_event_reasons": 0x4, "sm_activity_pct": 90.0}
FOREIGN = CLEAN | {"other_processes": 1, "other_processes_mem_bytes": 10**9}
HOT = CLEAN | {"clock_event_reasons": 0x40}

# Model initialisation until 7 s, then generations of 10.75 s, the second and later ones from here on.
SECOND_S, THIRD_S = 17.75, 28.5


def made(seen: Callable[[float], dict[str, float]], steps: int = 3, **settings: Any) -> dict[str, Any]:
    """The trace of three generations of steps of 2 s.

    Args:
        seen: what the sampler reads at a time in seconds.
    """
    warmup = settings.get("warmup", 0)
    rows = records([2.0] * steps, generations=3, warmup=warmup, environment=GPU)
    times_ns = [i * S // 10 for i in range(round(10 * rows[-2]["time_ns"] / S) + 5)]
    telemetry = {"sm_activity_source": "nvml_gpu_utilisation"}
    values = [seen(time_ns / S) | {"energy_j": 300 * time_ns / S} for time_ns in times_ns]
    samples = Samples(times_ns, values, 0.1, 0, telemetry)
    return trace_of(rows, case=tiny_case(repeats=3 - warmup, **settings), samples=samples)


def slower(trace: dict[str, Any], generation: int, first_step: int = 0) -> dict[str, Any]:
    """The trace with steps of a generation, from one on, that took three times as long as the others."""
    for event in trace["traceEvents"]:
        args = event.get("args", {})
        if event.get("cat") == "stage" and args["generation"] == generation and args.get("step", -1) >= first_step:
            args["time_s"] *= 3
    return trace


def in_second(reading: dict[str, float]) -> Callable[[float], dict[str, float]]:
    return lambda time_s: reading if SECOND_S < time_s < THIRD_S - 0.1 else CLEAN


def read(folder: Path, trace: dict[str, Any]) -> Trace:
    return judged(read_trace(write(folder, trace)), LIMITS)


@pytest.mark.parametrize(
    ("reading", "why"), [(FOREIGN, "other_process"), (HOT, "slowed_down")], ids=["another process", "heat"]
)
def test_a_contaminated_generation_is_excluded_and_named(tmp_path: Path, reading: dict[str, float], why: str) -> None:
    content = slower(made(in_second(reading)), 1)
    assert content["quality"]["excluded"] == [{"generation": 1, "failed_checks": [why]}]
    trace = read(tmp_path, content)
    assert trace.quality["failed_checks"] == []
    figures = figures_of(trace)
    assert (figures.step_s, figures.step_mean_s, figures.generation_s) == pytest.approx((2.0, 2.0, 10.75))
    assert figures.video_second_energy_j == pytest.approx(figures.generation_energy_j * 24 / 5)
    (compared,) = side_of([trace])
    assert not compared.doubt
    assert compared.figures["measure", "step_s"][1] == 0
    assert (cases_table([trace])["generations"].item(), cases_table([trace])["generations_excluded"].item()) == (3, 1)
    assert set(stages_table([trace]).query("generation == 1")["excluded"]) == {why}
    finding = rules(trace)["generations_excluded"]
    assert finding.evidence == {"generations_excluded": 1.0, "measured_runs": 1.0}
    text = report(trace)
    assert tables(text, "Case")[0][0]["Check"] == "passed (without 1 of 3 generations)"
    step = next(row for row in tables(text, "Stage")[0] if row["Stage"] == "Step_1_Inference")
    assert (step["Time (s)"], step["First (s)"], "Max (s)" in step) == ("2.00", "2.00", False)


@pytest.mark.parametrize(
    ("begin_s", "end_s", "reading", "excluded", "failed"),
    [
        # Most of the second generation, or all from the first on.
        (SECOND_S, THIRD_S - 0.1, FOREIGN, [1], []),
        (8, 99, FOREIGN, [], ["other_process"]),
        # While the model is loaded.
        (5, 6, FOREIGN, [], ["other_process"]),
        # Two samples of a generation are more than 1 % of it, and less of the case, which passes.
        (20, 20.25, HOT, [], []),
        (0, 99, CLEAN, [], []),
    ],
    ids=["in one", "in all", "in none", "hardly", "clean"],
)
def test_which_generations_are_excluded(
    tmp_path: Path, begin_s: float, end_s: float, reading: dict[str, float], excluded: list[int], failed: list[str]
) -> None:
    content = slower(made(lambda time_s: reading if begin_s < time_s < end_s else CLEAN), 1)
    trace = read(tmp_path, content)
    assert [each["generation"] for each in trace.quality["excluded"]] == excluded
    assert trace.quality["failed_checks"] == failed
    assert figures_of(trace).step_mean_s == pytest.approx(2.0 if excluded else (6 + 2) / 2)
    assert ("generations_excluded" in rules(trace)) == bool(excluded)
    # An older trace does not tell of which generation a reading was.
    del content["quality"]["parts"]
    whole = read(tmp_path, content).quality
    assert (whole["excluded"], whole["failed_checks"]) == ([], ["other_process"] if reading is FOREIGN else [])


def test_a_generation_whose_steps_changed_is_excluded_and_a_bad_first_one_is_no_cold_one(tmp_path: Path) -> None:
    trace = read(tmp_path, slower(made(lambda time_s: CLEAN, steps=8), 1, first_step=5))
    assert trace.quality["excluded"] == [{"generation": 1, "failed_checks": ["step_time_changed"]}]
    assert trace.quality["step_time_change"] is None
    assert figures_of(trace).step_mean_s == pytest.approx(2.0)
    trace = read(tmp_path, made(lambda time_s: FOREIGN if 8 < time_s < 9 else CLEAN, warmup=1))
    assert [each["generation"] for each in trace.quality["excluded"]] == [0]
    figures = figures_of(trace)
    assert (figures.first_generation_s, figures.generation_s) == (None, pytest.approx(10.75))
    assert "First (s)" not in tables(report(trace), "Stage")[0][0]


def test_steps_that_a_cache_shortens_are_no_change_of_step_time(tmp_path: Path) -> None:
    """As 5B_704p_cache: it served in steps 1 to 5, 7 and 9."""

    def failed(times_s: list[float], reused: dict[int, int]) -> list[str]:
        case = tiny_case(cache="first_block", cache_threshold=1.0)
        rows = records(times_s, case=case)
        for row in rows:
            if row.get("kind") == "step":
                row["args"]["passes_reused"] = reused.get(row["args"]["step"], 0)
        trace = trace_of(rows, case=case)
        # Both wings say so.
        assert read(tmp_path, trace).quality["failed_checks"] == trace["quality"]["failed_checks"]
        return trace["quality"]["failed_checks"]

    times_s = [3.5, *[0.12] * 5, 2.38, 0.12, 2.39, 1.26]
    assert failed(times_s, {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 7: 2, 9: 1}) == []
    assert failed(times_s, {}) == ["step_time_changed"]
    # What changed of the steps that it left as they are is found all the same.
    assert failed([3.0, *[2.4] * 4, 0.1, *[4.8] * 4], {5: 2}) == ["step_time_changed"]
