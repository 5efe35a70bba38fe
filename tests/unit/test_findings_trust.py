"""Findings about trust: each rule fires on what it is for, and stays silent without it."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from wanbench.findings.trust import theil_sen_slope
from wanbench.measure.quality import CLOCK_EVENT_REASONS

STEADY = [2.0] * 20
DRIFTING = [2.0 + 0.02 * i for i in range(20)]


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


def test_another_process(tmp_path: Path) -> None:
    fault = quality(other_processes=2, other_processes_mem_bytes=10**9)
    finding = found(tmp_path, alter=fault)["other_process"]
    assert finding.evidence == {"other_processes": 2.0, "other_processes_mem_bytes": 1e9}
    assert finding.severity == "warning"
    assert "other_process" not in found(tmp_path, alter=quality(other_processes=0))


def test_heat_slows_down_and_a_power_cap_does_not(tmp_path: Path) -> None:
    none = dict.fromkeys(CLOCK_EVENT_REASONS, 0.0)
    hot = quality(throttled_pct=none | {"thermal_software": 12.5, "power_cap": 80.0})
    finding = found(tmp_path, alter=hot)["slowed_down"]
    assert finding.evidence == {"thermal_software_pct": 12.5}
    assert "thermal_software in 12.5 % of the samples" in finding.text
    assert "slowed_down" not in found(tmp_path, alter=quality(throttled_pct=none | {"power_cap": 80.0}))


def test_clocks_of_a_group(tmp_path: Path) -> None:
    none = dict.fromkeys(CLOCK_EVENT_REASONS, 0.0)
    findings = found(tmp_path, alter=quality(throttled_pct=none | {"sync_boost": 40.0}))
    assert findings["sync_boost"].evidence == {"sync_boost_pct": 40.0}
    # Somebody set it up so: the case passes its check.
    assert "slowed_down" not in findings
    assert "sync_boost" not in found(tmp_path, alter=quality(throttled_pct=none | {"sync_boost": 0.5}))


def test_every_reason_that_is_read_has_a_rule(tmp_path: Path) -> None:
    none = dict.fromkeys(CLOCK_EVENT_REASONS, 0.0)
    ruled = {"sync_boost", "slowed_down"}
    # That of the power limit is judged by the samples of typical steps, and its tests are its own.
    for reason in CLOCK_EVENT_REASONS.keys() - {"power_cap"}:
        assert ruled & found(tmp_path, alter=quality(throttled_pct=none | {reason: 50.0})).keys(), reason


def test_the_change_of_the_reference_report(tmp_path: Path) -> None:
    """`03_Max_Quality_704p` of the report that this project began with."""
    finding = found(tmp_path, [15.19] + [15.03] * 38 + [6.88] * 11)
    assert finding["step_time_changed"].evidence == {"step": 39.0, "before_s": 15.03, "after_s": 6.88}
    # A jump is no drift.
    assert "step_time_drift" not in finding
    assert "step_time_changed" not in found(tmp_path, [15.19] + [6.88] * 49)


def test_a_drift(tmp_path: Path) -> None:
    finding = found(tmp_path, DRIFTING)["step_time_drift"]
    assert finding.evidence["slope_s_per_step"] == pytest.approx(0.02)
    assert finding.evidence["drift_pct"] == pytest.approx(100 * 0.02 * 18 / 2.2)
    assert "Theil-Sen" in finding.text


@pytest.mark.parametrize(
    ("steps_s", "settings"),
    [
        (STEADY, {}),
        # One slow step in ten is an outlier and no drift.
        ([2.0, *([2.0] * 9 + [9.0]) * 2], {}),
        (DRIFTING[:11], {}),
        (DRIFTING, {"cache": "first_block"}),
    ],
    ids=["steady", "outliers", "few steps", "a cache"],
)
def test_no_drift(tmp_path: Path, steps_s: list[float], settings: dict[str, Any]) -> None:
    assert "step_time_drift" not in found(tmp_path, steps_s, settings=settings)


def test_the_slope_is_the_median_of_all_pairs() -> None:
    assert theil_sen_slope([1.0, 2.0, 3.0]) == 1.0
    assert theil_sen_slope([1.0, 2.0, 50.0, 4.0, 5.0]) == 1.0


def test_output_that_is_not_finite(tmp_path: Path) -> None:
    assert "output_not_finite" in found(tmp_path, finite=False)
    assert "output_not_finite" not in found(tmp_path, finite=True)


def test_time_without_a_stage(tmp_path: Path) -> None:
    finding = found(tmp_path, unnamed_s=5.0)["unaccounted_time"]
    assert finding.evidence["unaccounted_s"] == pytest.approx(5.0)
    assert "Open the trace in Perfetto" in finding.advice
    assert "unaccounted_time" not in found(tmp_path, unnamed_s=0.01)


def test_gaps_between_samples(tmp_path: Path) -> None:
    gaps = quality(sample_coverage_pct=80.0, greatest_sample_gap_s=3.0)
    finding = found(tmp_path, alter=gaps)["sampling_gaps"]
    assert finding.evidence == {"sample_coverage_pct": 80.0, "greatest_sample_gap_s": 3.0}
    assert "sampling_gaps" not in found(tmp_path)
