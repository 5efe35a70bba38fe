"""What this machine has of what cases need: its GPUs that may be used, and its memory."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from wanbench.telemetry.cgroup import usable_memory_bytes
from wanbench.telemetry.gpus import Gpu, find_gpus
from wanbench.util.errors import InputError


@dataclass(frozen=True)
class Machine:
    """GPUs and memory of a machine.

    Attributes:
        gpus: those that may be used; None where NVML does not tell.
        no_answer: why it does not, or why there are not more GPUs; empty where nothing is amiss.
        host_bytes: memory that the host has, or its container may use.
        free_disk_bytes: where results are written.
        fails: NVML was asked, and does not tell: no case can have a GPU.
    """

    gpus: tuple[Gpu, ...] | None
    no_answer: str
    host_bytes: int
    free_disk_bytes: int
    fails: bool = False


def this_machine(environment: Mapping[str, str]) -> Machine:
    """What there is here; CUDA_VISIBLE_DEVICES of the environment says which GPUs may be used."""
    has = (usable_memory_bytes(), shutil.disk_usage(".").free)
    # What runs Snakemake need not have the module.
    if find_spec("pynvml") is None:
        return Machine(None, "the environment that plan ran in has no nvidia-ml-py", *has)
    try:
        found = find_gpus(environment)
    except InputError as error:
        return Machine(None, str(error), *has, fails=True)
    return Machine(tuple(found.gpus) if found.answered else None, found.reason, *has, fails=not found.answered)
