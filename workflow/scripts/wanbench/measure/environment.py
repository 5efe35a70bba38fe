"""What a case ran on: enough to repeat it, and nothing that names a person or a machine."""

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from wanbench.measure.variables import variables_of_speed
from wanbench.registry.settings import ROWS
from wanbench.telemetry.cgroup import Cgroup
from wanbench.util.job_entry import CONDA, NONE
from wanbench.util.redaction import redacted_message
from wanbench.util.text import one_line

_PACKAGES = (
    *("torch", "diffusers", "transformers", "accelerate", "safetensors", "numpy", "imageio-ffmpeg", "triton", "peft"),
    *sorted({package for row in ROWS for package in row.packages.values()}),
)
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


def software_and_hardware(device: Any, conda_env: str | None) -> dict[str, Any]:
    """The environment of a process of the case. Called where torch is imported.

    Args:
        device: the `torch.device` that runs the case.
        conda_env: name of the conda environment that this process must run in, None without conda.

    Raises:
        RuntimeError: it does not run in that environment.
    """
    import torch

    running_in = Path(sys.prefix).name
    if conda_env is not None and running_in != conda_env:
        raise RuntimeError(f"the measured process runs in {running_in}, not in the conda environment {conda_env}")

    return {
        "software_deployment": NONE if conda_env is None else CONDA,
        "conda_env": conda_env,
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in _PACKAGES} | {"cudnn": _cudnn(torch)},
        "platform": f"{platform.system()} {platform.machine()}",
        **host_facts(),
        "cpu_cores_logical": psutil.cpu_count(),
        "cpu_threads_torch": torch.get_num_threads(),
        "sys_mem_total_bytes": psutil.virtual_memory().total,
        "device": device.type,
        "cuda": torch.version.cuda,
        "gpu": _gpu(torch) if device.type == "cuda" else None,
        "torch_refuses_gpu": None if device.type == "cuda" else _why_no_gpu(torch),
    }


def _why_no_gpu(torch: Any) -> str | None:
    """What torch says where it is asked for a GPU."""
    try:
        torch.cuda.init()
    except (AssertionError, RuntimeError) as error:
        return one_line(redacted_message(str(error)), 200)
    return None


def _gpu(torch: Any) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "uuid": f"GPU-{properties.uuid}",
        "mem_total_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
    }


def _cudnn(torch: Any) -> str | None:
    """Version of the library that computes attention and convolutions; None without a GPU's build of torch."""
    number = torch.backends.cudnn.version()
    return number and f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def version_of(package: str) -> str | None:
    """None where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None


def host_facts() -> dict[str, Any]:
    """What of the host changes speed. None for what Linux does not tell, and for a limit that there is not."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    cgroup, started_with = Cgroup(), dict(os.environ)
    # Libraries add to the environment as they are imported.
    with suppress(psutil.Error, OSError):
        started_with = psutil.Process().environ()
    return {
        "cpu_name": cpu_name(),
        "cpu_cores_allowed": len(cores) or None,
        "cpu_quota_cores": cgroup.quota_cores(),
        "mem_limit_bytes": cgroup.limit_bytes(),
        "cpu_governor": _governor(cores),
        "cpu_numa_nodes": _numa_nodes(cores),
        # How far other processes go before this one: 0, or as `nice` set it, to 19.
        "cpu_niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "variables": variables_of_speed(started_with),
    }


def cpu_name(proc: Path = Path("/proc")) -> str | None:
    """What the kernel calls the processor. An architecture is no name: two processors of one need not be equal."""
    fields: dict[str, str] = {}
    with suppress(OSError):
        for line in (proc / "cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    named = next((fields[key] for key in _NAMES if re.search("[A-Za-z]", fields.get(key, ""))), None)
    if named is None and "CPU part" in fields:
        ids = fields.get("CPU implementer", ""), fields["CPU part"]
        named = _ARM.get(ids, "ARM implementer {} part {}".format(*ids))
    return named


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


# Code that measures, by what `git_changed` calls it.
_CODE = {"rules": ("Snakefile", "workflow/rules"), "scripts": ("workflow/scripts",), "environments": ("envs",)}


def git_state(root: Path) -> dict[str, Any]:
    """Commit of the checkout, whether its code differs from it, and which of it; all None for what is no checkout.

    A changed grid file is no changed code: every trace holds its case.
    """
    # An archive of the project may lie within somebody's repository, whose commit says nothing of it.
    top, commit = _git(root, "rev-parse", "--show-toplevel"), _git(root, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root.resolve():
        return {"git_commit": None, "git_dirty": None, "git_changed": None}
    changed = [
        what for what, paths in _CODE.items() if _git(root, "status", "--porcelain", "--untracked-files", "--", *paths)
    ]
    return {"git_commit": commit, "git_dirty": bool(changed), "git_changed": ", ".join(changed) or None}


def _git(folder: Path, *arguments: str) -> str | None:
    # A hook of git has variables of its own repository. Those of the configuration may say that the folder is safe.
    variables = {name: value for name, value in os.environ.items() if not re.match("GIT_(?!CONFIG)", name)}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, env=variables)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # A path need not be text of the locale's encoding.
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None
