"""From records to stages: exact times, also of what was cut short."""

from pathlib import Path

import pytest

from wanbench.measure.spans import Stage, read_records, stages_of
from wanbench.measure.stage_clock import StageClock
from wanbench.registry import stages as stage_names
from wanbench.util.event_log import EventLog, EventTail


class Device:
    """A clock and a device whose peak memory is in bytes; the test sets both."""

    now_ns = peak_bytes = synchronised = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def synchronise(self) -> None:
        self.synchronised += 1

    def take_peak(self) -> dict[str, int]:
        peak_bytes, self.peak_bytes = self.peak_bytes, 0
        return {"gpu_mem_allocated_bytes": peak_bytes}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr("wanbench.measure.stage_clock.time", device)
    return device


@pytest.fixture
def clock(tmp_path: Path, device: Device) -> StageClock:
    return StageClock(EventLog(tmp_path / "events"), device.synchronise, device.take_peak)


def stages(tmp_path: Path, ended_ns: int = 1000) -> dict[str, Stage]:
    recording = read_records(EventTail(tmp_path / "events").new_records())
    return {stage.name: stage for stage in stages_of(recording, ended_ns)}


def test_a_stage_inside_another_is_taken_from_its_time(clock: StageClock, device: Device, tmp_path: Path) -> None:
    clock.begin(stage_names.TOTAL_EXECUTION)
    clock.begin(stage_names.PREPROCESS)
    device.now_ns = 10
    with clock.span(stage_names.TEXT_ENCODING):
        device.now_ns = 40
    device.now_ns = 45
    clock.next(stage_names.VAE_DECODING)
    device.now_ns = 50
    clock.end()
    clock.end()
    # At each boundary, of which two stages share one.
    assert device.synchronised == 7
    found = stages(tmp_path)
    assert found[stage_names.PREPROCESS].time_ns == 15
    assert found[stage_names.PREPROCESS].extent == (0, 45)
    assert found[stage_names.TEXT_ENCODING].time_ns == 30
    assert found[stage_names.TOTAL_EXECUTION].time_ns == 50


def test_loading_is_taken_from_its_step_and_once(clock: StageClock, device: Device, tmp_path: Path) -> None:
    clock.begin("Step_0", "step", step=0, steps=1)
    device.now_ns = 5
    clock.begin("CFG_cond", "detail")
    device.now_ns = 15
    clock.transfers([(10, 15)], 1, "offload", "UMT5EncoderModel", 300)
    device.now_ns = 30
    clock.transfers([(10, 30)], 1, "load", "WanTransformer3DModel", 700)
    device.now_ns = 90
    clock.end()
    device.now_ns = 100
    clock.end()
    found = stages(tmp_path)
    loading, inference = found["Step_0_Loading"], found["Step_0_Inference"]
    assert (loading.time_ns, inference.time_ns) == (20, 80)
    assert loading.args == {
        "step": 0,
        "transfers": 2,
        "loading_s": 15e-9,
        "offloading_s": 5e-9,
        "loaded_bytes": 700,
        "offloaded_bytes": 300,
    }


def test_what_is_open_at_the_end_is_closed_and_marked(clock: StageClock, device: Device, tmp_path: Path) -> None:
    clock.begin(stage_names.TOTAL_EXECUTION)
    with pytest.raises(ValueError, match="x"), clock.span("Step_0", "step", step=0, steps=2):
        raise ValueError("x")
    device.peak_bytes = 90
    clock.abandon()
    device.now_ns = 100
    found = stages(tmp_path, ended_ns=700)
    for stage in (found["Step_0_Inference"], found[stage_names.TOTAL_EXECUTION]):
        assert (stage.time_ns, stage.interrupted, stage.args["gpu_mem_allocated_bytes"]) == (700, True, 90)
    recording = read_records(EventTail(tmp_path / "events").new_records())
    assert recording.stage_reached == "Step_0_Inference"


def test_a_peak_is_that_of_all_stages_that_were_open(clock: StageClock, device: Device, tmp_path: Path) -> None:
    clock.begin(stage_names.TOTAL_EXECUTION)
    device.peak_bytes = 5
    clock.begin(stage_names.PREPROCESS)
    device.peak_bytes = 7
    with clock.span(stage_names.TEXT_ENCODING):
        device.peak_bytes = 90
    device.peak_bytes = 8
    clock.end()
    with clock.span(stage_names.VIDEO_EXPORT):
        device.peak_bytes = 10
    device.peak_bytes = 6
    clock.end()
    peaks = {name: stage.args["gpu_mem_allocated_bytes"] for name, stage in stages(tmp_path).items()}
    assert peaks == {
        stage_names.TOTAL_EXECUTION: 90,
        stage_names.PREPROCESS: 90,
        stage_names.TEXT_ENCODING: 90,
        stage_names.VIDEO_EXPORT: 10,
    }
