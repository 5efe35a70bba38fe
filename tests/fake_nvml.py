"""Stands in for the `pynvml` module, with the values that an H200 gave (driver 580.159.04)."""

import ctypes
import math
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pynvml as real

H200 = "GPU-778ba935-0843-21da-7a3c-88969e2a9af7"
SECOND = "GPU-ab931e7e-2570-39c9-0c11-c9b9bf04bd2d"
MIG = "MIG-5a3c2b1d-0843-21da-7a3c-88969e2a9af7"

# graphics, SM, occupancy, tensor, DRAM in percent; PCIe in MiB/s: while an 8192 x 8192 product runs.
GPM_VALUES = {
    real.NVML_GPM_METRIC_GRAPHICS_UTIL: 83.8,
    real.NVML_GPM_METRIC_SM_UTIL: 79.24,
    real.NVML_GPM_METRIC_SM_OCCUPANCY: 11.71,
    real.NVML_GPM_METRIC_ANY_TENSOR_UTIL: 76.84,
    real.NVML_GPM_METRIC_DRAM_BW_UTIL: 15.1,
    real.NVML_GPM_METRIC_PCIE_TX_PER_SEC: 5.13,
    real.NVML_GPM_METRIC_PCIE_RX_PER_SEC: 13.22,
    # Simulated, not recorded: NVLink, in MiB/s.
    real.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC: 2048.0,
    real.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC: 1024.0,
}


# What calls answer for every GPU.
ANSWERS = {
    "nvmlDeviceGetName": "NVIDIA H200",
    "nvmlDeviceGetGpuInstanceId": 3,
    "nvmlSystemGetDriverVersion": "580.159.04",
    "nvmlDeviceGetEnforcedPowerLimit": 700_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
    "nvmlDeviceGetPersistenceMode": 1,
    "nvmlDeviceGetEccMode": [1, 1],
    "nvmlDeviceGetMigMode": [0, 0],
    "nvmlDeviceGetApplicationsClock": 1980,
    "nvmlDeviceGetDefaultApplicationsClock": 1980,
    "nvmlDeviceGetPciInfo": SimpleNamespace(busId="00000000:AB:00.0"),
    "nvmlDeviceGetMaxClockInfo": 1980,
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=150_754_820_096, used=36_117_020_672),
    "nvmlDeviceGetPowerUsage": 608_762,
    "nvmlDeviceGetTotalEnergyConsumption": 4_530_483,
    "nvmlDeviceGetTemperature": 64,
    "nvmlDeviceGetCurrentClocksEventReasons": 0x4,
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=100, memory=40),
}


def refusing(code: int) -> Callable[..., None]:
    """A call that NVML refuses."""

    def refuse(*_: object) -> None:
        raise real.NVMLError(code)

    return refuse


def _address(sample: Any) -> int:
    return ctypes.cast(sample, ctypes.c_void_p).value or 0


class Clock:
    """Stands in for the module `time`: what passes is what is slept, and what a test adds."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def sleep(self, time_s: float) -> None:
        self.now_ns += round(time_s * 1e9)


class FakeNvml:
    """The calls that the project makes; attributes say what the GPU can do and what is on it."""

    NVMLError = real.NVMLError

    def __init__(self, uuids: tuple[str, ...] = (H200,)) -> None:
        self.uuids = uuids
        self.processes: list[tuple[int, int | None]] = []
        self.gpm = dict(GPM_VALUES)
        self.refused: set[str] = set()
        self.gpm_samples_taken: list[tuple[Any, int | None]] = []
        self.power_instant = True
        self.driver_period_s: float | None = None
        self._refresh_of: dict[int, int] = {}
        self._buffers: list[Any] = []
        for call in ANSWERS:
            setattr(self, call, partial(self._answer, call))

    def __getattr__(self, name: str) -> Any:
        """Constants and structures are the real module's."""
        return getattr(real, name)

    def _check(self, call: str) -> None:
        if call in self.refused:
            raise real.NVMLError(real.NVML_ERROR_NOT_SUPPORTED)

    def _answer(self, call: str, *_: Any) -> Any:
        self._check(call)
        return ANSWERS[call]

    def nvmlDeviceGetCount(self) -> int:
        return len(self.uuids)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return self.uuids[index]

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in (*self.uuids, MIG):
            raise real.NVMLError(real.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:
        return self.uuids[0]

    def nvmlDeviceGetFieldValues(self, handle: str, fields: list[int]) -> list[Any]:
        self._check("nvmlDeviceGetFieldValues")
        status = real.NVML_SUCCESS if self.power_instant else real.NVML_ERROR_NOT_SUPPORTED
        return [SimpleNamespace(nvmlReturn=status, value=SimpleNamespace(uiVal=685_610))]

    def nvmlDeviceGetClockInfo(self, handle: str, clock: int) -> int:
        return 1710 if clock == real.NVML_CLOCK_SM else 3201

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        self._check("nvmlDeviceGetComputeRunningProcesses")
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.processes]

    def nvmlGpmQueryDeviceSupport(self, handle: str) -> Any:
        return SimpleNamespace(isSupportedDevice=int("gpm" not in self.refused))

    def nvmlGpmSampleAlloc(self) -> Any:
        self._buffers.append(ctypes.create_string_buffer(8))
        return ctypes.cast(self._buffers[-1], real.c_nvmlGpmSample_t)

    def nvmlGpmSampleGet(self, handle: str, sample: Any) -> None:
        self.nvmlGpmMigSampleGet(handle, None, sample)

    def nvmlGpmMigSampleGet(self, handle: str, instance: int | None, sample: Any) -> None:
        """It has the number of the last driver refresh, or one of its own unless a period is set."""
        self._check("gpm_sample")
        self.gpm_samples_taken.append((handle, instance))
        own = len(self.gpm_samples_taken)
        refresh = int(time.monotonic() / self.driver_period_s) if self.driver_period_s else own
        self._refresh_of[_address(sample)] = refresh

    def nvmlGpmMetricsGet(self, request: Any) -> None:
        same = self._refresh_of[_address(request.sample1)] == self._refresh_of[_address(request.sample2)]
        for metric in request.metrics[: request.numMetrics]:
            known = metric.metricId in self.gpm
            metric.nvmlReturn = real.NVML_SUCCESS if known else real.NVML_ERROR_NOT_SUPPORTED
            metric.value = self.gpm.get(metric.metricId, 0.0)
            if same:
                # Seen on H200s: a share of no bytes in no time is no number.
                metric.value = math.nan if metric.metricId == real.NVML_GPM_METRIC_DRAM_BW_UTIL else 0.0
