"""GPU metrics through NVML (package `nvidia-ml-py`, module `pynvml`).

Only calls that take microseconds to a few milliseconds: NVML's PCIe throughput blocks for 21 ms, and GPM has it too.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from types import ModuleType
from typing import Any

from wanbench.registry.stage_metrics import ANY, HIGHEST, MEAN, READ
from wanbench.telemetry.gpm import DRIVER_REFRESH_NS, Gpm

SM_SOURCE_GPM = "gpm_sm_utilisation"
SM_SOURCE_UTILISATION = "nvml_gpu_utilisation"

# What to do about an error, by the name of its number.
_ADVICE = {
    "LIB_RM_VERSION_MISMATCH": "the driver was updated, and the kernel still runs the old one: restart the machine",
    "NO_PERMISSION": "this account, or this container, may not open the device files /dev/nvidia*",
    "DRIVER_NOT_LOADED": "the kernel's module nvidia is not loaded; a container needs `--gpus`",
    "LIBRARY_NOT_FOUND": "a container needs `utility` in NVIDIA_DRIVER_CAPABILITIES; else install the driver",
    "GPU_IS_LOST": "it fell off the bus: restart the machine",
}
_PCI_DEVICES = Path("/sys/bus/pci/devices")
# Device files of a machine with an NVIDIA GPU: a discrete one, WSL's, Jetson's.
_DEVICE_FILES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/nvmap")


class NvmlUnavailable(Exception):
    """GPU telemetry cannot be had, for the reason in the message; with `nothing_there`, no NVIDIA GPU is there."""

    def __init__(self, why: str, nothing_there: bool = False) -> None:
        super().__init__(why)
        self.nothing_there = nothing_there


def initialised_nvml() -> ModuleType:
    """The `pynvml` module, ready for calls.

    Raises:
        NvmlUnavailable: the module, the driver's library or the driver is missing, or access is denied.
    """
    try:
        import pynvml
    except ImportError as error:
        raise NvmlUnavailable(f"package nvidia-ml-py is missing: {error}") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        no_library = error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
        raise NvmlUnavailable(in_words(error), no_library and not any(map(os.path.exists, _DEVICE_FILES))) from None
    return pynvml


def in_words(error: Any) -> str:
    """What an NVMLError says, and what to do about it where that is known."""
    import pynvml

    advice = {getattr(pynvml, f"NVML_ERROR_{name}"): text for name, text in _ADVICE.items()}.get(error.value)
    return f"{error} ({advice})" if advice else str(error)


def open_nvml(uuids: Iterable[str], own_pids: Callable[[], set[int]]) -> "NvmlSource":
    """A source for these GPUs; raises NvmlUnavailable as `initialised_nvml`, and where a GPU cannot be opened."""
    nvml = initialised_nvml()
    try:
        return NvmlSource(nvml, uuids, own_pids)
    except nvml.NVMLError as error:
        raise NvmlUnavailable(in_words(error)) from None


class NvmlSource:
    """The GPUs of a case, by UUID; several are read as one, as the registry's `over_gpus` says.

    A metric that one of them does not have is absent. `energy_j` counts since the driver was loaded.

    Raises:
        NVMLError: a GPU, or a MIG instance, cannot be opened.
    """

    def __init__(self, nvml: ModuleType, uuids: Iterable[str], own_pids: Callable[[], set[int]]) -> None:
        self._uuids = list(uuids)
        self._gpus = [_Gpu(nvml, uuid, own_pids) for uuid in self._uuids]

    def describe(self) -> dict[str, Any]:
        """UUIDs, and of the first GPU what does not change while sampling; None for what NVML does not know."""
        return {"gpus": self._uuids} | self._gpus[0].describe()

    def read(self) -> dict[str, float]:
        """One reading, with GPM's sample taken first."""
        readings = [gpu.read() for gpu in self._gpus]
        shared = set.intersection(*(set(reading) for reading in readings))
        return {key: _combine(key, [reading[key] for reading in readings]) for key in shared}

    def refused(self) -> dict[str, str]:
        """Why NVML did not tell, by metric, of those that it refused at least once."""
        return {key: reason for gpu in self._gpus for key, reason in gpu.refused.items()}

    def probe(self) -> dict[str, float]:
        """What `Gpm.probe` found; of several GPUs nothing, each has refreshes of its own."""
        found_ns = self._gpus[0].probe() if len(self._gpus) == 1 else None
        return {} if found_ns is None else {DRIVER_REFRESH_NS: found_ns}


class _Gpu:
    def __init__(self, nvml: ModuleType, uuid: str, own_pids: Callable[[], set[int]]) -> None:
        self._nvml = nvml
        self._device = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._own_pids = own_pids
        self._before: set[int] | None = None
        self._taken_for_ours: set[int] = set()
        self.refused: dict[str, str] = {}
        is_mig = uuid.startswith("MIG-")
        self._whole, self._gpm = self._device, None
        # A MIG instance has memory and processes of its own; power, clocks and energy are the whole GPU's.
        with suppress(nvml.NVMLError):
            if is_mig:
                self._whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self._device)
        # Refused before Hopper, unknown to older drivers.
        with suppress(nvml.NVMLError, AttributeError):
            instance = nvml.nvmlDeviceGetGpuInstanceId(self._device) if is_mig else None
            self._gpm = Gpm(nvml, self._whole, instance)
        self._calls = self._call_table()

    def describe(self) -> dict[str, Any]:
        nvml, device, clock = self._nvml, self._whole, self._nvml.NVML_CLOCK_SM
        told = {
            "driver": nvml.nvmlSystemGetDriverVersion,
            "power_limit_w": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(device) / 1000,
            "sm_clock_max_mhz": lambda: nvml.nvmlDeviceGetMaxClockInfo(device, clock),
            "device_mem_total_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(self._device).total,
        }
        # What administrators set, and what changes speed.
        state = {
            "persistence_mode": lambda: bool(nvml.nvmlDeviceGetPersistenceMode(device)),
            "ecc": lambda: bool(nvml.nvmlDeviceGetEccMode(device)[0]),
            "mig_mode": lambda: bool(nvml.nvmlDeviceGetMigMode(device)[0]),
            "power_limit_default_w": lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(device) / 1000,
            "sm_clock_set_mhz": lambda: nvml.nvmlDeviceGetApplicationsClock(device, clock),
            "sm_clock_default_mhz": lambda: nvml.nvmlDeviceGetDefaultApplicationsClock(device, clock),
            "numa_node": lambda: _numa_node(nvml.nvmlDeviceGetPciInfo(device).busId),
        }
        return {key: self._try(call) for key, call in told.items()} | {
            "state": {key: self._try(call) for key, call in state.items()},
            "sm_activity_source": SM_SOURCE_UTILISATION if self._gpm is None else SM_SOURCE_GPM,
        }

    def probe(self) -> int | None:
        return None if self._gpm is None else self._try(self._gpm.probe)

    def read(self) -> dict[str, float]:
        # First, since the tick's time is taken right before, and the other calls may block for milliseconds.
        values: dict[str, float] = {} if self._gpm is None else self._try(self._gpm.read, "sm_activity_pct") or {}
        values |= {key: value for key, call in self._calls if (value := self._try(call, key)) is not None}
        running = self._nvml.nvmlDeviceGetComputeRunningProcesses
        processes = self._try(lambda: running(self._device), "other_processes")
        if processes is not None:
            values |= self._split({process.pid: process.usedGpuMemory for process in processes})
        return values

    def _call_table(self) -> list[tuple[str, Callable[[], float]]]:
        nvml, whole = self._nvml, self._whole
        calls = [
            ("gpu_mem_used_bytes", lambda: nvml.nvmlDeviceGetMemoryInfo(self._device).used),
            ("power_w", self._power_w),
            ("energy_j", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(whole) / 1000),
            ("temperature_c", lambda: nvml.nvmlDeviceGetTemperature(whole, nvml.NVML_TEMPERATURE_GPU)),
            ("sm_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(whole, nvml.NVML_CLOCK_SM)),
            ("mem_clock_mhz", lambda: nvml.nvmlDeviceGetClockInfo(whole, nvml.NVML_CLOCK_MEM)),
            ("clock_event_reasons", lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(whole)),
        ]
        if self._gpm is None:
            calls.append(("sm_activity_pct", lambda: nvml.nvmlDeviceGetUtilizationRates(whole).gpu))
        return calls

    def _power_w(self) -> float:
        """Power at this instant; where the GPU does not give it, NVML's figure, which is smoothed over a second."""
        # Older drivers and vGPUs refuse the whole call, and not only the field.
        with suppress(self._nvml.NVMLError, AttributeError):
            field = self._nvml.nvmlDeviceGetFieldValues(self._whole, [self._nvml.NVML_FI_DEV_POWER_INSTANT])[0]
            if field.nvmlReturn == self._nvml.NVML_SUCCESS:
                return field.value.uiVal / 1000
        return self._nvml.nvmlDeviceGetPowerUsage(self._whole) / 1000

    def _try(self, call: Callable[[], Any], metric: str = "") -> Any:
        """The call's result, or None where NVML refuses: the metric is then absent from the reading."""
        try:
            return call()
        except (self._nvml.NVMLError, AttributeError) as error:
            if metric:
                self.refused[metric] = in_words(error) if isinstance(error, self._nvml.NVMLError) else str(error)
            return None

    def _split(self, memory_bytes: dict[int, int | None]) -> dict[str, float]:
        """Metrics of the processes on the GPU, given each one's memory by process ID.

        In a container NVML may give process IDs of the host, which we cannot know for ours. What was on the GPU before
        our process used it is another's; of those that come later and are not known, the first is taken for ours.
        """
        known = self._own_pids() & set(memory_bytes)
        if self._before is None:
            self._before = set(memory_bytes) - known
        if not known and not self._taken_for_ours:
            self._taken_for_ours = set([pid for pid in memory_bytes if pid not in self._before][:1])
        ours = known or self._taken_for_ours
        own = [size for pid, size in memory_bytes.items() if pid in ours]
        others = [size for pid, size in memory_bytes.items() if pid not in ours]
        values: dict[str, float] = {"other_processes": len(others)}
        if None not in others:
            values["other_processes_mem_bytes"] = sum(others)
        if own and None not in own:
            values["gpu_mem_process_bytes"] = sum(own)
        return values


def _numa_node(bus_id: str) -> int | None:
    """The node of memory that a GPU is at, as Linux has it; None where it has none, as in most virtual machines."""
    with suppress(OSError, ValueError):
        # NVML writes the PCI domain with eight digits, and Linux with four.
        node = int((_PCI_DEVICES / bus_id.lower()[-12:] / "numa_node").read_text("ascii"))
        return None if node < 0 else node
    return None


def _combine(key: str, values: list[Any]) -> float:
    """One value for several GPUs, see `NvmlSource`."""
    how = READ[key].over_gpus
    if how == ANY:
        return reduce(or_, map(int, values))
    if how == HIGHEST:
        return max(values)
    return sum(values) / len(values) if how == MEAN else sum(values)
