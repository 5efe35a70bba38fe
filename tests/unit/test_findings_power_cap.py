"""The finding about the power limit: how often it held the clocks down, and what they were then."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from reports import full_case, made, rules
from wanbench.measure.quality import CLOCK_EVENT_REASONS
from wanbench.registry.stage_metrics import POWER_CAP_BIT, READ
from wanbench.trace.reader import read_trace

TRACK, LINE, _ = READ["clock_event_reasons"].track
STEPS = r"Step_\d+_Inference"


def found(folder: Path, measures: dict[str, dict[str, Any]], **options: Any) -> dict[str, Any]:
    return rules(made(folder, full_case(steps=4), measures=measures, **options))


def capped(share_pct: float, masks: Sequence[int] = ()) -> Any:
    """A cap in a share of all samples, and maybe what each sample said, one a second."""

    def alter(trace: dict[str, Any]) -> None:
        del trace["quality"]["parts"]
        trace["quality"]["throttled_pct"] = dict.fromkeys(CLOCK_EVENT_REASONS, 0.0) | {"power_cap": share_pct}
        telemetry = {"power_limit_w": 700.0, "sm_clock_max_mhz": 1980}
        trace["environment"]["gpu_telemetry"] = telemetry
        trace["traceEvents"] += [
            {"name": TRACK, "ph": "C", "ts": second * 1e6, "pid": 1, "args": {LINE: mask}}
            for second, mask in enumerate(masks)
        ]

    return alter


# Steps 1 to 3 of four last from second 9.75 to 15.75; idle stretches around them are not held down.
IDLE_S, HELD_S = [1] * 10, [4, 4, 4, 5, 4, 1]


def test_the_power_cap_is_a_note_with_share_and_clock_of_typical_steps(tmp_path: Path) -> None:
    """As I2V_A14B_480p_offload_compiled on an H100: of all samples, 16 % says how long the GPU idled."""
    clock = {STEPS: {"sm_clock_mhz": 1700.0}}
    finding = found(tmp_path, clock, alter=capped(16.0, IDLE_S + HELD_S + IDLE_S))["power_cap"]
    assert finding.severity == "note"
    assert finding.evidence == {
        "power_cap_typical_pct": pytest.approx(100 * 5 / 6),
        "power_limit_w": 700.0,
        "sm_clock_mhz": 1700.0,
        "sm_clock_max_mhz": 1980.0,
    }
    assert finding.text == (
        "The power limit of 700 W held the clocks down in 83.3 % of the samples of typical steps, to 1700 MHz of "
        "1980 MHz at most, which is normal at full load."
    )
    assert "power_cap" not in found(tmp_path, clock, alter=capped(16.0, IDLE_S + [1] * 6 + IDLE_S))


def test_nothing_is_said_of_the_power_cap_where_typical_steps_have_no_samples(tmp_path: Path) -> None:
    """As T2V_A14B_480p_group on an H200: NVML told it in 36 % of the samples, at a mean of 172 W of 700."""
    assert "power_cap" not in found(tmp_path, {}, alter=capped(36.4, IDLE_S))
    assert "power_cap" not in found(tmp_path, {})


def test_the_report_reads_the_clock_events_that_are_measured() -> None:
    assert CLOCK_EVENT_REASONS["power_cap"] == POWER_CAP_BIT
    trace = read_trace(ROOT / "results/reference/h200/traces/5B_704p_cudnn_compiled.json.gz")
    (total,) = (stage for stage in trace.stages if stage.name == "Total_Execution")
    readings = zip(trace.clock_events.times_s, trace.clock_events.values)
    capped = [bool(bits & POWER_CAP_BIT) for time_s, bits in readings if 0 <= time_s - total.start_s < total.extent_s]
    assert 100 * sum(capped) / len(capped) == pytest.approx(trace.quality["throttled_pct"]["power_cap"], abs=0.2)
