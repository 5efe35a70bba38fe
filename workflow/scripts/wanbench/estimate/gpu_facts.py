"""GPUs by their vendors' datasheets: for `predict`, and for the rate that MFU divides by."""

import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wanbench.cases.yaml_file import read_yaml
from wanbench.util.errors import InputError

_FILE = Path(__file__).with_name("gpus.yaml")
CUDNN, FLASH_2 = "cudnn", "flash_2"


@dataclass(frozen=True)
class GpuFacts:
    """A row of gpus.yaml, in its units; None for what the vendor does not state."""

    name: str
    memory: float
    bandwidth: float
    power: float
    fp32: float
    source: str
    nvml: str | None = None
    pcie: float | None = None
    bf16: float | None = None
    tf32: float | None = None
    older_instructions: float = 1.0
    native_attention: str = FLASH_2


@cache
def known_gpus() -> dict[str, GpuFacts]:
    return {name: GpuFacts(name, **row) for name, row in read_yaml(_FILE).items()}


def find_gpu(asked: object) -> GpuFacts:
    """The GPU of a name as people and drivers write it: "rtx 4090", "NVIDIA H200", "A100-80GB".

    Raises:
        InputError: none has that name; it says which there are.
    """
    gpus = {_plain(gpu.nvml): gpu for gpu in known_gpus().values() if gpu.nvml}
    gpus |= {_plain(name): gpu for name, gpu in known_gpus().items()}
    if found := gpus.get(_plain(asked)):
        return found
    near = [name for name in known_gpus() if _plain(name).startswith(_plain(asked))]
    near = near or list(dict.fromkeys(gpus[key].name for key in difflib.get_close_matches(_plain(asked), gpus)))
    meant = f" (near: {', '.join(near)})" if near and asked else ""
    raise InputError(f"--config gpu={asked} is not known{meant}; allowed: {', '.join(known_gpus())}")


def _plain(name: object) -> str:
    return re.sub(r"nvidia|geforce|[^a-z0-9]", "", str(name).lower())
