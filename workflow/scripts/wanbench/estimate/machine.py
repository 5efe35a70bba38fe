"""What this machine has of what cases need: its GPUs that may be used, and its memory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from wanbench.telemetry.gpus import Gpu, usable_gpus
from wanbench.util.errors import InputError


@dataclass(frozen=True)
class Machine:
    """GPUs and memory of a machine.

    Attributes:
        gpus: those that may be used; None where NVML cannot be asked.
        no_answer: why it cannot; empty where it can.
        host_bytes: memory of the host.
    """

    gpus: tuple[Gpu, ...] | None
    no_answer: str
    host_bytes: int


def this_machine(environment: Mapping[str, str]) -> Machine:
    """What there is here.

    Args:
        environment: CUDA_VISIBLE_DEVICES in it says which GPUs may be used.
    """
    host_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # What runs Snakemake need not have the module.
    if find_spec("pynvml") is None:
        return Machine(None, "the environment that plan ran in has no nvidia-ml-py", host_bytes)
    try:
        return Machine(tuple(usable_gpus(environment)), "", host_bytes)
    except InputError as error:
        return Machine(None, str(error), host_bytes)
