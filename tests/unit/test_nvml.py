"""The NVML source, against a stand-in with an H200's values; the recordings of a real one are in test_recordings.py."""

import math
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

import fake_nvml
from fake_nvml import H200, MIG, SECOND, Clock, FakeNvml, refusing
from wanbench.telemetry import gpm
from wanbench.telemetry.nvml import NvmlSource

OURS = 414
MS = 1_000_000


def source(nvml: FakeNvml, *uuids: str) -> NvmlSource:
    return NvmlSource(nvml, uuids or [H200], lambda: {OURS})


def second_reading(nvml: FakeNvml, *uuids: str) -> dict[str, float]:
    reader = source(nvml, *uuids)
    reader.read()
    return reader.read()


@pytest.fixture
def nvml() -> FakeNvml:
    return FakeNvml()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(gpm, "time", fake)
    monkeypatch.setattr(fake_nvml, "time", fake)
    return fake


def test_a_reading_has_all_metrics_in_our_units(nvml: FakeNvml) -> None:
    nvml.processes = [(OURS, 35_462_840_320)]
    assert second_reading(nvml) == {
        "graphics_activity_pct": 83.8,
        "sm_activity_pct": 79.24,
        "sm_occupancy_pct": 11.71,
        "tensor_activity_pct": 76.84,
        "dram_activity_pct": 15.1,
        "pcie_tx_bytes_per_s": 5.13 * 2**20,
        "pcie_rx_bytes_per_s": 13.22 * 2**20,
        "nvlink_tx_bytes_per_s": 2**31,
        "nvlink_rx_bytes_per_s": 2**30,
        "gpu_mem_used_bytes": 36_117_020_672,
        "gpu_mem_process_bytes": 35_462_840_320,
        "power_w": 685.61,
        "energy_j": 4530.483,
        "temperature_c": 64,
        "sm_clock_mhz": 1710,
        "mem_clock_mhz": 3201,
        "clock_event_reasons": 4,
        "other_processes": 0,
        "other_processes_mem_bytes": 0,
    }
    assert source(nvml).describe() == {
        "gpus": [H200],
        "driver": "580.159.04",
        "power_limit_w": 700.0,
        "sm_clock_max_mhz": 1980,
        "device_mem_total_bytes": 150_754_820_096,
        "state": {
            "persistence_mode": True,
            "ecc": True,
            "mig_mode": False,
            "power_limit_default_w": 700.0,
            "sm_clock_set_mhz": 1980,
            "sm_clock_default_mhz": 1980,
            "numa_node": None,
        },
        "sm_activity_source": "gpm_sm_utilisation",
    }


@pytest.mark.parametrize(("told", "node"), [("1\n", 1), ("-1\n", None), ("", None)])
def test_the_numa_node_of_a_gpu_is_what_linux_has(
    nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, node: int | None
) -> None:
    monkeypatch.setattr("wanbench.telemetry.nvml._PCI_DEVICES", tmp_path)
    (tmp_path / "0000:ab:00.0").mkdir()
    (tmp_path / "0000:ab:00.0/numa_node").write_text(told)
    assert source(nvml).describe()["state"]["numa_node"] == node


def test_two_samples_of_the_same_counters_are_no_reading_and_the_next_covers_both(nvml: FakeNvml, clock: Clock) -> None:
    nvml.driver_period_s = 0.1
    reader = source(nvml)
    assert "sm_activity_pct" not in reader.read()
    clock.now_ns = 95 * MS
    reading = reader.read()
    assert not {*gpm.METRICS} & {*reading}
    assert reading["power_w"] == 685.61
    clock.now_ns = 105 * MS
    reading = reader.read()
    assert reading["sm_activity_pct"] == 79.24


def test_two_samples_of_the_same_counters_show_when_the_driver_refresh_was(nvml: FakeNvml, clock: Clock) -> None:
    """The driver refreshes at whole tenths of a second; a probe is taken a little less than that after a reading."""
    nvml.driver_period_s = 0.1
    reader = source(nvml)
    assert reader.probe() == {}
    found_ns = []
    for tick in range(200):
        clock.now_ns = 3 * MS + tick * 105 * MS
        assert ("sm_activity_pct" in reader.read()) == (tick > 0)
        clock.now_ns += 95 * MS
        found_ns += reader.probe().values()
    assert len(found_ns) == 10
    assert all(abs(time_ns - round(time_ns, -8)) <= 3 * MS for time_ns in found_ns)
    # It had been when the first call ended, and the next, 0.1 s later, had not when the second began.
    assert gpm.driver_refresh_ns((0, MS), (94 * MS, 95 * MS)) == -2.5 * MS


def test_a_gpm_value_that_is_no_number_or_not_given_is_absent_and_not_zero(nvml: FakeNvml) -> None:
    nvml.gpm[pynvml.NVML_GPM_METRIC_SM_UTIL] = math.nan
    # As without NVLink.
    del nvml.gpm[pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC]
    reading = second_reading(nvml)
    assert not {"sm_activity_pct", "nvlink_tx_bytes_per_s"} & set(reading)
    assert reading["tensor_activity_pct"] == 76.84


def test_what_nvml_refuses_is_absent_and_told_with_its_reason_and_the_rest_is_read(nvml: FakeNvml) -> None:
    nvml.processes = [(OURS, 5)]
    complete = second_reading(nvml)
    # GPM is for administrators alone on some: NVML's utilisation takes the place of its activity.
    nvml.refused = {"gpm_sample", "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMemoryInfo"}
    nvml.refused |= {"nvmlDeviceGetComputeRunningProcesses"}
    reader = source(nvml)
    reading = reader.read()
    of_processes = {"other_processes", "other_processes_mem_bytes", "gpu_mem_process_bytes"}
    assert complete.keys() - reading.keys() == {*gpm.METRICS, *of_processes, "energy_j", "gpu_mem_used_bytes"} - {
        "sm_activity_pct"
    }
    assert reading["sm_activity_pct"] == 100
    refused = ("energy_j", "gpu_mem_used_bytes", "other_processes")
    assert reader.refused() == dict.fromkeys(refused, "Not Supported")
    described = reader.describe()
    assert described["device_mem_total_bytes"] is None
    assert described["sm_activity_source"] == "nvml_gpu_utilisation"


@pytest.mark.parametrize("refused", [set(), {"nvmlDeviceGetFieldValues"}], ids=["the field", "the whole call"])
def test_a_gpu_without_instantaneous_power_gives_the_smoothed(nvml: FakeNvml, refused: set[str]) -> None:
    nvml.power_instant, nvml.refused = False, refused
    assert source(nvml).read()["power_w"] == 608.762


@pytest.mark.parametrize(
    ("processes", "metrics"),
    [
        ([(7, 679_477_248), (OURS, 1_000)], (1, 679_477_248, 1_000)),
        # Where NVML does not know their memory, there is none, and not zero.
        ([(7, None)], (1, None, None)),
        ([(OURS, None)], (0, 0, None)),
    ],
)
def test_other_processes_are_counted_and_not_named(nvml: FakeNvml, processes: list, metrics: tuple) -> None:
    nvml.processes = processes
    reading = source(nvml).read()
    assert metrics == tuple(
        reading.get(key) for key in ("other_processes", "other_processes_mem_bytes", "gpu_mem_process_bytes")
    )


def test_in_another_process_namespace_the_first_newcomer_is_ours(nvml: FakeNvml) -> None:
    nvml.processes = [(90_007, 5)]
    reader = source(nvml)
    assert reader.read()["other_processes"] == 1
    nvml.processes = [(90_007, 5), (90_414, 100), (90_500, 7)]
    assert reader.read()["other_processes"] == 2
    nvml.processes = [(90_007, 5), (90_414, 100), (90_600, 8)]
    reading = reader.read()
    assert (reading["other_processes"], reading["other_processes_mem_bytes"]) == (2, 13)
    assert reading["gpu_mem_process_bytes"] == 100


def unlike_gpus() -> FakeNvml:
    """Two GPUs, of which the second is cooler, and slowed down by heat; other processes compute on it."""
    nvml = FakeNvml((H200, SECOND))
    values = {
        "nvmlDeviceGetMemoryInfo": (SimpleNamespace(used=7), SimpleNamespace(used=9)),
        "nvmlDeviceGetTotalEnergyConsumption": (5_000, 3_000),
        "nvmlDeviceGetTemperature": (64, 40),
        "nvmlDeviceGetClockInfo": (1900, 1000),
        "nvmlDeviceGetCurrentClocksEventReasons": (0x4, 0x20),
        "nvmlDeviceGetUtilizationRates": (SimpleNamespace(gpu=100), SimpleNamespace(gpu=50)),
    }
    for call, (first, second) in values.items():
        setattr(nvml, call, lambda handle, *_, first=first, second=second: second if handle == SECOND else first)
    processes = {H200: [(OURS, 5), (99, 3)], SECOND: [(OURS, 6), (99, 2), (98, 1)]}
    nvml.nvmlDeviceGetComputeRunningProcesses = lambda handle: [
        SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in processes[handle]
    ]
    return nvml


def test_of_several_gpus_shares_are_means_energy_is_a_sum_memory_the_highest_and_reasons_those_of_any() -> None:
    nvml = unlike_gpus()
    reading = second_reading(nvml, H200, SECOND)
    assert (reading["sm_activity_pct"], reading["tensor_activity_pct"]) == pytest.approx((79.24, 76.84))
    assert reading["pcie_tx_bytes_per_s"] == pytest.approx(2 * 5.13 * 2**20)
    assert reading["nvlink_rx_bytes_per_s"] == pytest.approx(2 * 2**30)
    nvml.refused = {"gpm"}
    assert second_reading(nvml, H200, SECOND) == {
        "sm_activity_pct": 75,
        "gpu_mem_used_bytes": 9,
        "gpu_mem_process_bytes": 6,
        "power_w": pytest.approx(2 * 685.61),
        "energy_j": 8,
        "temperature_c": 64,
        "sm_clock_mhz": 1450,
        "mem_clock_mhz": 1450,
        "clock_event_reasons": 0x24,
        "other_processes": 3,
        "other_processes_mem_bytes": 6,
    }
    described = source(FakeNvml((H200, SECOND)), H200, SECOND).describe()
    assert (described["gpus"], described["power_limit_w"]) == ([H200, SECOND], 700)


def test_what_one_of_several_gpus_does_not_have_is_absent() -> None:
    nvml = FakeNvml((H200, SECOND))
    calls = {H200: lambda: 5_000, SECOND: refusing(pynvml.NVML_ERROR_NOT_SUPPORTED)}
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: calls[handle]()
    assert "energy_j" not in second_reading(nvml, H200, SECOND)


def test_driver_refreshes_are_those_of_one_gpu(clock: Clock) -> None:
    nvml = FakeNvml((H200, SECOND))
    nvml.driver_period_s = 0.1
    for uuids, is_found in (([H200], True), ([H200, SECOND], False)):
        reader = source(nvml, *uuids)
        clock.now_ns = 3 * MS
        reader.read()
        clock.now_ns = 98 * MS
        assert bool(reader.probe()) is is_found


def test_a_mig_instance_is_sampled_as_such(nvml: FakeNvml) -> None:
    second_reading(nvml, MIG)
    assert set(nvml.gpm_samples_taken) == {(H200, 3)}
