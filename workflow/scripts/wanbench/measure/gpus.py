"""Which GPUs a case may use, by UUID: an index means different GPUs to CUDA and to NVML."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Gpus:
    """What a case runs on.

    Attributes:
        uuids: none where there is no GPU.
        mem_total_bytes: memory of the first; None without one.
    """

    uuids: list[str]
    mem_total_bytes: int | None


def first_gpu(environment: Mapping[str, str], nvml: ModuleType) -> Gpus:
    """The first GPU that CUDA_VISIBLE_DEVICES allows. `nvml` is the `pynvml` module, initialised."""
    uuids = visible_gpus(environment, nvml)[:1]
    if not uuids:
        return Gpus([], None)
    return Gpus(uuids, nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(uuids[0])).total)


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
    chosen: list[str] = []
    for entry in (part.strip() for part in allowed.split(",")):
        uuid = _uuid_of(entry, everything, nvml)
        if uuid is None:
            break
        chosen.append(uuid)
    return chosen


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
