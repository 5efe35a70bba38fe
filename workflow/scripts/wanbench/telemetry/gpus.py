"""Which GPUs a case may use, by UUID: an index means different GPUs to CUDA and to NVML."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from types import ModuleType

from wanbench.telemetry.nvml import NvmlUnavailable, initialised_nvml
from wanbench.util.errors import InputError


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG instance, which counts as one.

    Attributes:
        mem_total_bytes: its memory.
        name: what NVML calls it; many have the same.
    """

    uuid: str
    mem_total_bytes: int
    name: str = field(default="", compare=False)


def usable_gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES allows, in its order; none on a machine without NVML.

    Raises:
        InputError: there is a driver, and it fails.
    """
    try:
        nvml = initialised_nvml()
    except NvmlUnavailable:
        return []
    try:
        handles = [(uuid, nvml.nvmlDeviceGetHandleByUUID(uuid)) for uuid in visible_gpus(environment, nvml)]
        return [
            Gpu(uuid, nvml.nvmlDeviceGetMemoryInfo(handle).total, nvml.nvmlDeviceGetName(handle))
            for uuid, handle in handles
        ]
    except nvml.NVMLError as error:
        raise InputError(f"NVML cannot list the GPUs: {error}; `nvidia-smi -L` must work") from None
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def visible_gpus(environment: Mapping[str, str], nvml: ModuleType) -> list[str]:
    """UUIDs of the GPUs that CUDA_VISIBLE_DEVICES allows, in its order; all GPUs where it is not set.

    An index counts in the order of the PCI bus, as NVML and CUDA_DEVICE_ORDER=PCI_BUS_ID count. As in CUDA, the
    first entry that is no GPU ends the list.

    Args:
        nvml: the `pynvml` module, initialised.
    """
    everything = [nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(i)) for i in range(nvml.nvmlDeviceGetCount())]
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return everything
    named = (_uuid_of(entry.strip(), everything, nvml) for entry in allowed.split(","))
    return list(takewhile(lambda uuid: uuid is not None, named))


def _uuid_of(entry: str, everything: list[str], nvml: ModuleType) -> str | None:
    if entry.isdigit():
        return everything[int(entry)] if int(entry) < len(everything) else None
    if entry.startswith("MIG-"):
        try:
            nvml.nvmlDeviceGetHandleByUUID(entry)
        except nvml.NVMLError:
            return None
        return entry
    # CUDA takes the beginning of a UUID if it fits one GPU only.
    matches = [uuid for uuid in everything if entry and uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
