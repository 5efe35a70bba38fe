"""Which GPUs a case may use: CUDA_VISIBLE_DEVICES as CUDA reads it, and what NVML refuses."""

import sys

import pynvml
import pytest

from fake_nvml import H200, MIG, SECOND, FakeNvml, refusing
from wanbench.telemetry import gpus
from wanbench.telemetry.gpus import Found, Gpu, find_gpus
from wanbench.telemetry.nvml import NvmlUnavailable, open_nvml
from wanbench.util.errors import InputError


def found(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Found:
    nvml.nvmlShutdown = refusing(pynvml.NVML_ERROR_GPU_IS_LOST)
    monkeypatch.setattr(gpus, "initialised_nvml", lambda: nvml)
    return find_gpus(environment)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, [H200, SECOND]),
        ("", []),
        ("1", [SECOND]),
        ("1,0", [SECOND, H200]),
        ("0,7,1", [H200]),
        (SECOND, [SECOND]),
        ("GPU-ab93", [SECOND]),
        ("GPU-", []),
        (MIG, [MIG]),
        ("MIG-unknown", []),
        ("-1", []),
        (" 0 , 1 ", [H200, SECOND]),
        # As tried on two H200 with driver 580, by asking CUDA.
        *((text, []) for text in ("0,0", "0,1,0", f"{H200},{H200}", f"{H200},GPU-778b", f" {H200}", ",0", "a", "all")),
        *((text, []) for text in ("NoDevFiles", "gpu-778ba935", "778ba935", "GPU", "99999999999", "-1,0")),
        *((text, [SECOND]) for text in ("+1", "01", "1 0", "1;0", "1.0", "1:0", "1-0", f"{SECOND},0", "1,,0", "1,a,0")),
        *((text, [H200]) for text in ("0,-1,1", f"0,{SECOND}", H200.upper(), f"{H200},", f"{H200} , {SECOND}", "0,")),
        ("1gpu,0x", [SECOND, H200]),
        (f"{SECOND},GPU-ffff,{H200}", [SECOND]),
    ],
)
def test_which_gpus_a_case_may_use(monkeypatch: pytest.MonkeyPatch, allowed: str | None, expected: list[str]) -> None:
    environment = {} if allowed is None else {"CUDA_VISIBLE_DEVICES": allowed}
    assert [gpu.uuid for gpu in found(FakeNvml((H200, SECOND)), monkeypatch, **environment).gpus] == expected


def test_what_a_case_may_use_comes_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml((H200, SECOND))
    assert found(nvml, monkeypatch, CUDA_VISIBLE_DEVICES="1") == Found([Gpu(SECOND, 150_754_820_096)])
    # As of a GB10, which shares the host's.
    nvml.refused = {"nvmlDeviceGetMemoryInfo"}
    assert found(nvml, monkeypatch, CUDA_VISIBLE_DEVICES="1") == Found([Gpu(SECOND, None)])


def test_a_driver_that_fails_is_no_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    nvml.nvmlDeviceGetUUID = refusing(pynvml.NVML_ERROR_GPU_IS_LOST)
    lost = found(nvml, monkeypatch)
    assert (lost.gpus, lost.answered) == ([], False)
    assert lost.reason.startswith("GPU 0: GPU is lost (it fell off the bus")


def test_a_gpu_that_may_not_be_opened_costs_no_other_and_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in NVML's documentation of nvmlDeviceGetCount: it counts GPUs that nvmlDeviceGetHandleByIndex refuses."""
    nvml = FakeNvml((H200, SECOND))
    answers = [refusing(pynvml.NVML_ERROR_NO_PERMISSION), lambda: SECOND]
    nvml.nvmlDeviceGetHandleByIndex = lambda index: answers[index]()
    allowed = found(nvml, monkeypatch, CUDA_VISIBLE_DEVICES="0")
    assert [gpu.uuid for gpu in allowed.gpus] == [SECOND]
    assert allowed.answered
    assert allowed.reason.startswith("GPU 0: Insufficient Permissions")


@pytest.mark.parametrize(
    ("code", "word", "nothing_there"),
    [
        (pynvml.NVML_ERROR_NO_PERMISSION, "Permission", False),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown", False),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "Library Not Found", True),
    ],
)
def test_only_a_machine_without_library_and_device_is_one_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, code: int, word: str, nothing_there: bool
) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", refusing(code))
    monkeypatch.setattr("wanbench.telemetry.nvml._DEVICE_FILES", ())
    seen = find_gpus({})
    assert (seen.gpus, seen.answered, bool(seen.reason)) == ([], nothing_there, not nothing_there)
    assert nothing_there or word in seen.reason
    with pytest.raises(NvmlUnavailable, match=word):
        open_nvml([H200], set)
    # A container without NVIDIA's library, and with the device.
    monkeypatch.setattr("wanbench.telemetry.nvml._DEVICE_FILES", ("/dev/null",))
    assert not find_gpus({}).answered
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in find_gpus({}).reason


@pytest.mark.parametrize(("allowed", "said"), [("7", True), ("0,0", True), ("gpu0", True), ("", False), ("-1", False)])
def test_what_allows_no_gpu_is_said(monkeypatch: pytest.MonkeyPatch, allowed: str, said: bool) -> None:
    none = found(FakeNvml((H200, SECOND)), monkeypatch, CUDA_VISIBLE_DEVICES=allowed)
    assert (none.gpus, none.answered) == ([], True)
    assert (f"CUDA_VISIBLE_DEVICES={allowed} allows none of the 2" in none.reason) == said


def test_numbers_of_unlike_gpus_need_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml((H200, SECOND))
    nvml.nvmlDeviceGetName = lambda handle: {H200: "NVIDIA H200", SECOND: "NVIDIA A2"}[handle]
    with pytest.raises(InputError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        found(nvml, monkeypatch, CUDA_VISIBLE_DEVICES="0")
    for environment, uuids in (
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [SECOND]),
        ({"CUDA_VISIBLE_DEVICES": SECOND}, [SECOND]),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, [SECOND, H200]),
        ({}, [H200, SECOND]),
    ):
        assert [gpu.uuid for gpu in found(nvml, monkeypatch, **environment).gpus] == uuids


def test_a_gpu_in_mig_mode_stands_for_its_first_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    nvml.nvmlDeviceGetMigMode = lambda device: [1, 1]
    nvml.nvmlDeviceGetMaxMigDeviceCount = lambda device: 7
    nvml.nvmlDeviceGetMigDeviceHandleByIndex = lambda device, index: MIG
    assert [gpu.uuid for gpu in found(nvml, monkeypatch, CUDA_VISIBLE_DEVICES="0").gpus] == [MIG]
    nvml.nvmlDeviceGetMigDeviceHandleByIndex = refusing(pynvml.NVML_ERROR_NOT_FOUND)
    assert found(nvml, monkeypatch).gpus == []
