"""Findings about trust: each rule fires on what it is for, and stays silent without it."""

from pathlib import Path
from typing import Any

import pytest

from reports import fired, full_case, made, rules
from traces import HOST
from wanbench.measure.quality import CLOCK_EVENT_REASONS

STEADY = [2.0] * 9
SCATTERED = [0.9, 0.1, 2.2, 0.2, 1.9, 0.1, 0.3, 2.1, 0.2]
NOT_HELD = dict.fromkeys(CLOCK_EVENT_REASONS, 0.0)


def found(folder: Path, steps_s: list[float] | None = None, **options: Any) -> dict[str, Any]:
    settings = options.pop("settings", {})
    case = full_case(steps=len(steps_s) if steps_s else 4, **settings)
    return rules(made(folder, case, steps_s, **options))


def quality(**values: Any) -> Any:
    """Figures of a trace that does not tell where in the case they were seen."""

    def alter(trace: dict[str, Any]) -> None:
        del trace["quality"]["parts"]
        trace["quality"] |= values

    return alter


@pytest.mark.parametrize(
    ("rule", "fires", "silent", "evidence"),
    [
        (
            "other_process",
            {"other_processes": 2, "other_processes_mem_bytes": 10**9},
            {"other_processes": 0},
            {"other_processes": 2.0, "other_processes_mem_bytes": 1e9},
        ),
        (
            "slowed_down",
            {"throttled_pct": NOT_HELD | {"thermal_software": 12.5, "power_cap": 80.0}},
            {"throttled_pct": NOT_HELD | {"power_cap": 80.0}},
            {"thermal_software_pct": 12.5}
            | dict.fromkeys(("hardware_slowdown_pct", "thermal_hardware_pct", "power_brake_pct"), 0.0),
        ),
        (
            "sampling_gaps",
            {"sample_coverage_pct": 80.0, "greatest_sample_gap_s": 3.0},
            {},
            {"sample_coverage_pct": 80.0, "greatest_sample_gap_s": 3.0},
        ),
    ],
)
def test_a_failed_check_has_a_finding(
    tmp_path: Path, rule: str, fires: dict[str, Any], silent: dict[str, Any], evidence: dict[str, float]
) -> None:
    finding = found(tmp_path, alter=quality(**fires))[rule]
    assert (finding.severity, finding.evidence) == ("warning", evidence)
    # What did not hold the GPU back is not said.
    assert "thermal_hardware" not in finding.text
    assert rule not in found(tmp_path, alter=quality(**silent))


def test_every_reason_that_is_no_normal_work_slows_down(tmp_path: Path) -> None:
    reasons = CLOCK_EVENT_REASONS.keys() - {"power_cap", "sync_boost", "clocks_set"}
    traces = [
        made(tmp_path, full_case(reason, steps=4), alter=quality(throttled_pct=NOT_HELD | {reason: 50.0}))
        for reason in reasons
    ]
    assert fired("slowed_down", *traces) == reasons


def test_output_that_is_not_finite(tmp_path: Path) -> None:
    assert "output_not_finite" in found(tmp_path, finite=False)
    assert "output_not_finite" not in found(tmp_path, finite=True)


def test_generations_that_were_excluded(tmp_path: Path) -> None:
    def contaminated(trace: dict[str, Any]) -> None:
        for event in trace["traceEvents"]:
            if event.get("cat") == "stage" and event["args"].get("generation") == 1:
                step = event["name"].startswith("Step_") and event["name"] > "Step_5"
                event["args"]["time_s"] *= 3 if step else 1

    finding = found(tmp_path, STEADY, settings={"repeats": 3}, alter=contaminated)["generations_excluded"]
    assert finding.evidence["generations_excluded"] == 1.0
    assert "1 (step time changed)" in finding.text
    assert "generations_excluded" not in found(tmp_path, STEADY, settings={"repeats": 3})


def test_a_machine_that_others_used(tmp_path: Path) -> None:
    def beside(cpu_pct: float, process_cpu_pct: float | None) -> dict[str, Any]:
        return found(tmp_path, measures={"Total_Execution": {"cpu_pct": cpu_pct, "process_cpu_pct": process_cpu_pct}})

    finding = beside(99.9, 35.7)["busy_machine"]
    assert (finding.severity, finding.evidence) == ("warning", pytest.approx({"others_cpu_pct": 64.2}))
    # The sampler, the kernel and its ticks, on two cores; and what was not watched.
    for figures in ((76.7, 74.3), (99.9, None)):
        assert "busy_machine" not in beside(*figures)


def test_steps_that_scatter_and_not_those_that_agree_or_do_not_by_design(tmp_path: Path) -> None:
    runs: dict[str, tuple[list[float], dict[str, Any]]] = {
        "scattered": (SCATTERED, {}),
        "steady": (STEADY, {}),
        "one_slow_step": ([*STEADY[:4], 9.0, *STEADY[:4]], {}),
        "hundredths_of_a_second": ([0.09, 0.01, 0.04, 0.01, 0.04, 0.01, 0.02, 0.04], {}),
        "too_few": ([2.0, 1.0, 2.0, 3.0], {}),
        "a_cache": (SCATTERED, {"cache": "first_block"}),
        "a_change": ([2.0] * 10 + [4.0] * 10, {}),
    }
    traces = [
        made(tmp_path, full_case(name, steps=len(steps_s), **settings), steps_s)
        for name, (steps_s, settings) in runs.items()
    ]
    assert fired("step_times_scatter", *traces) == {"scattered"}
    finding = rules(*traces)["step_times_scatter"]
    assert finding.severity == "warning"
    assert finding.evidence == pytest.approx({"spread_pct": 1000 * 1.925 / 2.5, "spread_s": 1.925, "median_s": 0.25})


def test_a_case_on_the_cpu_gets_no_advice_for_gpus(tmp_path: Path) -> None:
    assert "throttling" in found(tmp_path, SCATTERED)["step_times_scatter"].advice
    assert "throttling" not in found(tmp_path, SCATTERED, environment=HOST)["step_times_scatter"].advice
