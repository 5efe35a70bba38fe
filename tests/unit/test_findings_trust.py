"""Findings about trust: each rule fires on what it is for, and stays silent without it."""

from pathlib import Path
from typing import Any

import pytest

from reports import found_in_each
from traces import HOST
from wanbench.measure.quality import CLOCK_EVENT_REASONS
from wanbench.trace.verdict import SLOWED_DOWN

STEADY = [2.0] * 9
SCATTERED = [0.9, 0.1, 2.2, 0.2, 1.9, 0.1, 0.3, 2.1, 0.2]
NOT_HELD = dict.fromkeys(CLOCK_EVENT_REASONS, 0.0)


def with_quality(**values: Any) -> dict[str, Any]:
    """The run of a trace that does not tell where in the case its figures were seen."""

    def alter(trace: dict[str, Any]) -> None:
        del trace["quality"]["parts"]
        trace["quality"] |= values

    return {"alter": alter}


def test_a_failed_check_has_a_finding(tmp_path: Path) -> None:
    others = {"other_processes": 2, "other_processes_mem_bytes": 10**9}
    gaps = {"sample_coverage_pct": 80.0, "greatest_sample_gap_s": 3.0}
    held = NOT_HELD | {"thermal_software": 12.5, "power_cap": 80.0}
    expected = (
        ("other_process", with_quality(**others), others),
        ("slowed_down", with_quality(throttled_pct=held), {f"{reason}_pct": held[reason] for reason in SLOWED_DOWN}),
        ("sampling_gaps", with_quality(**gaps), gaps),
        ("output_not_finite", {"finite": False}, {}),
    )
    silent = with_quality(other_processes=0, throttled_pct=NOT_HELD | {"power_cap": 80.0})
    *found, clean = found_in_each(tmp_path, *(run for _, run, _ in expected), silent)
    for of_case, (rule, _, evidence) in zip(found, expected):
        assert (of_case[rule].severity, of_case[rule].evidence) == ("warning", evidence)
        assert rule not in clean
    # What did not hold the GPU back is not said.
    assert "thermal_hardware" not in found[1]["slowed_down"].text


def test_every_reason_that_is_no_normal_work_slows_down(tmp_path: Path) -> None:
    reasons = CLOCK_EVENT_REASONS.keys() - {"power_cap", "sync_boost", "clocks_set"}
    runs = (with_quality(throttled_pct=NOT_HELD | {reason: 50.0}) for reason in reasons)
    assert all("slowed_down" in found for found in found_in_each(tmp_path, *runs))


def test_a_machine_that_others_used(tmp_path: Path) -> None:
    # The last are the sampler, the kernel and its ticks, on two cores; and what was not watched.
    shares = (
        {"cpu_pct": all_pct, "process_cpu_pct": own} for all_pct, own in ((99.9, 35.7), (76.7, 74.3), (99.9, None))
    )
    busy, *others = found_in_each(tmp_path, *({"measures": {"Total_Execution": share}} for share in shares))
    finding = busy["busy_machine"]
    assert (finding.severity, finding.evidence) == ("warning", pytest.approx({"others_cpu_pct": 64.2}))
    assert not any("busy_machine" in found for found in others)


def test_steps_that_scatter_and_not_those_that_agree_or_do_not_by_design(tmp_path: Path) -> None:
    scattered, on_the_cpu, *others = found_in_each(
        tmp_path,
        {"steps_s": SCATTERED},
        {"steps_s": SCATTERED, "environment": HOST},
        {"steps_s": STEADY},
        {"steps_s": [*STEADY[:4], 9.0, *STEADY[:4]]},
        # Hundredths of a second, too few, a cache, a change.
        {"steps_s": [0.09, 0.01, 0.04, 0.01, 0.04, 0.01, 0.02, 0.04]},
        {"steps_s": [2.0, 1.0, 2.0, 3.0]},
        {"steps_s": SCATTERED, "settings": {"cache": "first_block"}},
        {"steps_s": [2.0] * 10 + [4.0] * 10},
    )
    assert not any("step_times_scatter" in found for found in others)
    finding = scattered["step_times_scatter"]
    assert finding.severity == "warning"
    assert finding.evidence == pytest.approx({"spread_pct": 1000 * 1.925 / 2.5, "spread_s": 1.925, "median_s": 0.25})
    assert "throttling" in finding.advice
    # A case on the CPU gets no advice for GPUs.
    assert "throttling" not in on_the_cpu["step_times_scatter"].advice
