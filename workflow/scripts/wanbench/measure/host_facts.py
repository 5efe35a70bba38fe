"""What of the host changes speed: its processor, and how much of it this process may use."""

import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from wanbench.measure.variables import variables_of_speed
from wanbench.telemetry.cgroup import Cgroup

# Names of processors in /proc/cpuinfo: x86; MIPS; LoongArch; POWER; RISC-V; s390x; and of old ARM kernels.
_NAMES = ("model name", "cpu model", "Model Name", "cpu", "uarch", "processor 0", "Hardware")
# Arm's own cores by implementer and part (Arm: "MIDR_EL1"; util-linux, lscpu-arm.c); others stand as numbers.
_ARM = {
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0xc0", "0xac3"): "Ampere-1",
}


def host_facts() -> dict[str, Any]:
    """By key of a trace's environment; None for what Linux does not tell, and for a limit that there is not."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    cgroup = Cgroup()
    return {
        "cpu_name": cpu_name(),
        "cpu_cores_allowed": len(cores) or None,
        "cpu_quota_cores": cgroup.quota_cores(),
        "mem_limit_bytes": cgroup.limit_bytes(),
        "cpu_governor": _governor(cores),
        "cpu_numa_nodes": _numa_nodes(cores),
        # How far other processes go before this one: 0, or as `nice` set it, to 19.
        "cpu_niceness": os.getpriority(os.PRIO_PROCESS, 0),
        # As this process was started: libraries add to its environment as they are imported.
        "variables": variables_of_speed(psutil.Process().environ()),
    }


def cpu_name(proc: Path = Path("/proc"), machine: str | None = None) -> str | None:
    """What the kernel calls the processor.

    Args:
        machine: the architecture, for tests.
    """
    fields: dict[str, str] = {}
    with suppress(OSError):
        for line in (proc / "cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    named = next((fields[key] for key in _NAMES if re.search("[A-Za-z]", fields.get(key, ""))), None)
    if named is None and "CPU part" in fields:
        ids = fields.get("CPU implementer", ""), fields["CPU part"]
        named = _ARM.get(ids, "ARM implementer {} part {}".format(*ids))
    # An architecture is no processor: two of them need not be equal.
    given = platform.processor()
    return named or (given if given and given != (machine or platform.machine()) else None)


def _governor(cores: list[int]) -> str | None:
    """The kernel's way to set the clocks of the cores that may be used; several with commas between them."""
    found = set()
    for core in cores:
        with suppress(OSError):
            found.add(Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor").read_text("ascii").strip())
    return ",".join(sorted(found)) or None


def _numa_nodes(cores: list[int]) -> str | None:
    """Nodes of memory that these cores are at, with commas between them."""
    links = (link for core in cores for link in Path(f"/sys/devices/system/cpu/cpu{core}").glob("node[0-9]*"))
    nodes = sorted({int(link.name.removeprefix("node")) for link in links})
    return ",".join(map(str, nodes)) or None
