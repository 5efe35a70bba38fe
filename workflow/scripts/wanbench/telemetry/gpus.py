"""Which GPUs a case may use, by UUID: an index means different GPUs to CUDA and to NVML."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from types import ModuleType
from typing import Any

from wanbench.telemetry.nvml import NvmlUnavailable, in_words, initialised_nvml
from wanbench.util.errors import InputError
from wanbench.util.text import one_line

# What people and schedulers write to have none: `NoDevFiles` is Slurm's.
_NONE_WANTED = re.compile(r"\s*(-1|NoDevFiles|none|void)?\s*", re.IGNORECASE)
_UUIDS = ("GPU-", "MIG-")


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a MIG instance, which counts as one; its memory is None where NVML does not tell."""

    uuid: str
    mem_total_bytes: int | None
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class Found:
    """What may be used here.

    Attributes:
        gpus: in the order of CUDA_VISIBLE_DEVICES.
        reason: why there are not more; empty where nothing is amiss, as without an NVIDIA GPU, or where none is wanted.
        answered: NVML told. Else there may be GPUs, and nobody knows.
    """

    gpus: list[Gpu]
    reason: str = ""
    answered: bool = True


def find_gpus(environment: Mapping[str, str]) -> Found:
    """The GPUs that CUDA_VISIBLE_DEVICES allows, and why there are not more. One that NVML refuses costs no other.

    The variable is read as CUDA reads it (CUDA programming guide, "Environment variables"; duplicates and mixtures as
    tried on two H200, driver 580): the first entry says whether all are numbers, the beginnings of UUIDs or MIG
    instances; a number ends at the first character that is none; an entry that is no GPU ends the list; one that stands
    there twice leaves nothing. A number counts in the order of the PCI bus, as with CUDA_DEVICE_ORDER=PCI_BUS_ID, and
    without the GPUs that this process may not open.

    Raises:
        InputError: CUDA_VISIBLE_DEVICES has numbers that mean one GPU to CUDA and may mean another to NVML.
    """
    try:
        nvml = initialised_nvml()
    except NvmlUnavailable as error:
        return Found([]) if error.nothing_there else Found([], f"NVML does not answer: {error}", answered=False)
    try:
        return _found(environment, nvml)
    except nvml.NVMLError as error:
        return Found([], f"NVML does not list the GPUs: {in_words(error)}", answered=False)
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _found(environment: Mapping[str, str], nvml: ModuleType) -> Found:
    there, reasons = _listed(nvml)
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    by_uuid = {gpu.uuid: gpu for gpu in there}
    if allowed is not None:
        _check_order(environment, there)
    uuids = list(by_uuid) if allowed is None else list(_named(allowed, list(by_uuid), nvml))
    is_twice = len(set(uuids)) < len(uuids)
    gpus = [] if is_twice else [by_uuid.get(uuid) or _described(nvml, uuid) for uuid in uuids]
    answered = bool(there) or not reasons
    if allowed is not None and there and not gpus and not _NONE_WANTED.fullmatch(allowed):
        what = f"CUDA_VISIBLE_DEVICES={one_line(allowed, 80)} allows none of the {len(there)} GPUs here"
        reasons.append(f"{what}, as CUDA reads it: numbers below {len(there)} or UUIDs, none of them twice")
    return Found(gpus, "; ".join(reasons), answered)


def _listed(nvml: ModuleType) -> tuple[list[Gpu], list[str]]:
    """All GPUs, and for each that cannot be used the reason."""
    there, refusals = [], []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            there.append(_described(nvml, _computing(nvml, device)))
        except nvml.NVMLError as error:
            refusals.append(f"GPU {index}: {in_words(error)}")
    return there, refusals


def _computing(nvml: ModuleType, device: Any) -> str:
    """UUID of what CUDA computes on when it is given this GPU: with MIG mode on, of its first instance."""
    is_mig = False
    with suppress(nvml.NVMLError):
        is_mig = bool(nvml.nvmlDeviceGetMigMode(device)[0])
    if not is_mig:
        return nvml.nvmlDeviceGetUUID(device)
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        with suppress(nvml.NVMLError):
            return nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
    raise nvml.NVMLError(nvml.NVML_ERROR_NOT_FOUND)


def _described(nvml: ModuleType, uuid: str) -> Gpu:
    device = nvml.nvmlDeviceGetHandleByUUID(uuid)
    size_bytes, name = None, ""
    with suppress(nvml.NVMLError):
        size_bytes = nvml.nvmlDeviceGetMemoryInfo(device).total
    with suppress(nvml.NVMLError):
        name = nvml.nvmlDeviceGetName(device)
    return Gpu(uuid, size_bytes, name)


def _check_order(environment: Mapping[str, str], there: list[Gpu]) -> None:
    """Raise InputError where numbers choose some of several unlike GPUs, and CUDA counts the fastest first."""
    allowed = environment["CUDA_VISIBLE_DEVICES"]
    if allowed.startswith(_UUIDS) or environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return
    unlike = sorted({gpu.name for gpu in there})
    chosen = sum(number < len(there) for number in _numbers(allowed))
    if 0 < chosen < len(there) and len(unlike) > 1:
        raise InputError(
            f"CUDA_VISIBLE_DEVICES={one_line(allowed, 80)}: the GPUs here are unlike ({', '.join(unlike)}), and CUDA "
            "counts the fastest first, which NVML does not know; set CUDA_DEVICE_ORDER=PCI_BUS_ID, or write UUIDs"
        )


def _named(allowed: str, there: list[str], nvml: ModuleType) -> Iterator[str]:
    """The GPUs of the entries, up to the first that is none."""
    if not allowed.startswith(_UUIDS):
        yield from (there[number] for number in takewhile(lambda number: number < len(there), _numbers(allowed)))
        return
    for entry in map(str.rstrip, allowed.split(",")):
        # An abbreviated UUID must fit one GPU only.
        matches = [uuid for uuid in there if entry[:4] == "GPU-" and uuid.lower().startswith(entry.lower())]
        if allowed.startswith("MIG-") and entry.startswith("MIG-"):
            with suppress(nvml.NVMLError):
                nvml.nvmlDeviceGetHandleByUUID(entry)
                matches = [entry]
        if len(matches) != 1:
            return
        yield matches[0]


def _numbers(allowed: str) -> Iterator[int]:
    """Numbers as C's strtol reads them: `1gpu` and `+1` are 1."""
    for entry in allowed.split(","):
        number = re.match(r"\s*[+]?([0-9]+)", entry)
        if number is None:
            return
        yield int(number[1])
