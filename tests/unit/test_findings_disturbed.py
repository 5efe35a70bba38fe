"""Findings about a machine that others used, and about steps that do not agree."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from traces import HOST

STEADY = [2.0] * 9
SCATTERED = [0.9, 0.1, 2.2, 0.2, 1.9, 0.1, 0.3, 2.1, 0.2]


def found(folder: Path, steps_s: list[float], **options: Any) -> dict[str, Any]:
    case = full_case(steps=len(steps_s), **options.pop("settings", {}))
    return rules(made(folder, case, steps_s, **options))


def test_a_machine_that_others_used(tmp_path: Path) -> None:
    busy = {"Total_Execution": {"cpu_pct": 99.9, "process_cpu_pct": 35.7}}
    finding = found(tmp_path, STEADY, measures=busy)["busy_machine"]
    assert finding.severity == "warning"
    assert finding.evidence == pytest.approx({"others_cpu_pct": 64.2, "cpu_pct": 99.9, "process_cpu_pct": 35.7})
    assert "Other processes used 64 % of the machine's CPU" in finding.text
    assert "may be too long" in finding.text


def test_a_case_that_is_alone_or_was_not_watched_is_not_on_a_busy_machine(tmp_path: Path) -> None:
    # The sampler, the kernel and its ticks, on two cores.
    alone = {"Total_Execution": {"cpu_pct": 76.7, "process_cpu_pct": 74.3}}
    assert "busy_machine" not in found(tmp_path, STEADY, measures=alone)
    unknown = {"Total_Execution": {"cpu_pct": 99.9, "process_cpu_pct": None}}
    assert "busy_machine" not in found(tmp_path, STEADY, measures=unknown)


def test_steps_that_scatter(tmp_path: Path) -> None:
    finding = found(tmp_path, SCATTERED)["step_times_scatter"]
    assert finding.severity == "warning"
    assert finding.evidence == pytest.approx({"spread_pct": 1000 * 1.925 / 2.5, "spread_s": 1.925, "median_s": 0.25})
    assert "shortest 0.10 s, longest 2.20 s" in finding.text


BUSY = {"Total_Execution": {"cpu_pct": 99.9, "process_cpu_pct": 35.7}}
DRIFTING = [2.0 + 0.02 * i for i in range(20)]
UNLIKE = {
    "step_times_scatter": SCATTERED,
    "step_time_changed": [2.0] * 10 + [4.0] * 10,
    "step_time_drift": DRIFTING,
}


@pytest.mark.parametrize("rule", UNLIKE)
def test_a_case_on_the_cpu_gets_no_advice_for_gpus(tmp_path: Path, rule: str) -> None:
    advice = found(tmp_path, UNLIKE[rule], environment=HOST)[rule].advice
    assert advice.startswith("Look for another process on this machine, and ")
    on_gpu = found(tmp_path, UNLIKE[rule])[rule].advice
    assert on_gpu.startswith(
        "Look at temperature and clocks in the trace, and "
        if rule == "step_time_drift"
        else "Look for another process on this machine, or for throttling, and "
    )


@pytest.mark.parametrize("rule", UNLIKE)
def test_what_is_known_to_have_used_the_machine_need_not_be_looked_for(tmp_path: Path, rule: str) -> None:
    advice = found(tmp_path, UNLIKE[rule], environment=HOST, measures=BUSY)[rule].advice
    assert advice.startswith("Stop what else used this machine (busy_machine), and ")


def test_a_gpu_may_have_been_throttled_beside_it(tmp_path: Path) -> None:
    advice = found(tmp_path, SCATTERED, measures=BUSY)["step_times_scatter"].advice
    assert advice.startswith("Stop what else used this machine (busy_machine), or look for throttling, and ")


@pytest.mark.parametrize(
    ("steps_s", "settings"),
    [
        (STEADY, {}),
        # A single step that was disturbed hardly moves the median.
        ([*STEADY[:4], 9.0, *STEADY[:4]], {}),
        # Hundredths of a second.
        ([0.09, 0.01, 0.04, 0.01, 0.04, 0.01, 0.02, 0.04], {}),
        # Too few to tell.
        ([2.0, 1.0, 2.0, 3.0], {}),
        (SCATTERED, {"cache": "first_block"}),
        # Two times, one after the other, have a finding of their own.
        ([2.0] * 10 + [4.0] * 10, {}),
    ],
)
def test_steps_that_agree_or_do_not_by_design(tmp_path: Path, steps_s: list[float], settings: dict[str, Any]) -> None:
    assert "step_times_scatter" not in found(tmp_path, steps_s, settings=settings)
