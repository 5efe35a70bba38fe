"""What the container, or whatever else limits this process, lets it have of the machine: control groups of Linux.

Both versions (kernel documentation: cgroup-v2.rst, cgroup-v1/memory.rst, sched-bwc.rst). A limit of an outer group
holds for all within it. A core set (cpuset) is what `sched_getaffinity` gives.
"""

import os
import re
from contextlib import suppress
from functools import cached_property
from pathlib import Path

_V2 = "v2"
# Version 1 writes what has no limit as the largest number of bytes in whole pages.
_UNLIMITED_BYTES = 1 << 60


class Cgroup:
    """The control group of a process.

    Args:
        proc: of the process.
        root: before the mount points, for tests.
    """

    def __init__(self, proc: Path = Path("/proc/self"), root: str = "") -> None:
        folders = _folders(proc, root)
        self._cpu = folders.get("cpu") or folders.get(_V2, [])
        self._memory = folders.get("memory") or folders.get(_V2, [])

    def quota_cores(self) -> float | None:
        """Seconds of processor time that the process may use each second; None without a quota."""
        return min(filter(None, map(_quota_cores, self._cpu)), default=None)

    def limit_bytes(self) -> int | None:
        """Memory that the process may use, page cache included; None without a limit."""
        return min(filter(None, map(_limit_bytes, self._memory)), default=None)

    def used_bytes(self) -> int | None:
        """Memory of the limited group without inactive page cache, as `docker stats` has it; None without a limit."""
        folder = self._limited_folder
        used = folder and _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if used is None:
            return None
        stat = _pairs(folder / "memory.stat")
        return max(0, used - stat.get("total_inactive_file", stat.get("inactive_file", 0)))

    def memory_kills(self) -> int:
        """Processes of the limited group that the kernel ended for want of memory; 0 where nobody counts."""
        folder = self._limited_folder
        counts = {} if folder is None else _pairs(folder / "memory.events") or _pairs(folder / "memory.oom_control")
        return counts.get("oom_kill", 0)

    @cached_property
    def _limited_folder(self) -> Path | None:
        """The innermost group that has the tightest limit."""
        limits_bytes = {folder: size for folder in self._memory if (size := _limit_bytes(folder)) is not None}
        return min(limits_bytes, key=limits_bytes.__getitem__, default=None)

    def cpu_s(self) -> float | None:
        """Processor time that the limited group has used; None where no group has a quota."""
        folder = next((folder for folder in self._cpu if _quota_cores(folder) is not None), None)
        if folder is None:
            return None
        if (used_us := _pairs(folder / "cpu.stat").get("usage_usec")) is not None:
            return used_us / 1e6
        # Of version 1 another controller counts it, which stands beside this one everywhere.
        used_ns = _number(folder / "cpuacct.usage")
        return None if used_ns is None else used_ns / 1e9


def usable_cores() -> float:
    """Cores that this process may keep busy: those it is allowed to run on, or the quota where that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = Cgroup().quota_cores()
    return float(allowed) if quota is None else min(float(allowed), quota)


def usable_memory_bytes() -> int:
    """Memory of this machine, or what its container allows where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Cgroup().limit_bytes()
    return total if limit is None else min(total, limit)


def _folders(proc: Path, root: str) -> dict[str, list[Path]]:
    """By controller, the folders of the process's group and of those around it, the innermost first."""
    try:
        groups = (proc / "cgroup").read_text("utf-8").splitlines()
        mounts = (proc / "mountinfo").read_text("utf-8").splitlines()
    except OSError:
        return {}
    paths: dict[str, str] = {}
    for line in groups:
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(",") if controllers else [_V2], path)
    found: dict[str, list[Path]] = {}
    for line in mounts:
        # proc_pid_mountinfo(5): the group that is at the mount point, and the mount point.
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        top, point = (re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text) for text in fields[3:5])
        controllers = {"cgroup2": [_V2], "cgroup": options.split(",")}.get(kind, [])
        for controller in paths.keys() & controllers:
            found.setdefault(controller, _upwards(paths[controller], top, Path(root + point)))
    return found


def _upwards(path: str, top: str, point: Path) -> list[Path]:
    # In a namespace of its own, or where only a part is mounted, the path is of another root.
    within = os.path.relpath(path, top) if (path + "/").startswith(top.rstrip("/") + "/") else "."
    folder = point / within
    return [each for each in (folder, *folder.parents) if each.is_relative_to(point)]


def _quota_cores(folder: Path) -> float | None:
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text("ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def _limit_bytes(folder: Path) -> int | None:
    size = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
    return None if size is None or size >= _UNLIMITED_BYTES else size


def _number(*files: Path) -> int | None:
    """The number in the first of the files that holds one."""
    for file in files:
        with suppress(OSError, ValueError):
            return int(file.read_text("ascii"))
    return None


def _pairs(file: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        return {key: int(value) for key, value in (line.split() for line in file.read_text("ascii").splitlines())}
    return {}
