"""CPU and system memory of the whole machine, and of the case's processes with their children."""

import threading
import time
from contextlib import suppress
from typing import Any

import psutil

from wanbench.telemetry.cgroup import Cgroup

# Listing all processes costs milliseconds on a busy machine; children (the video encoder) live longer than this.
_FIND_CHILDREN_EVERY_S = 1.0


class HostSource:
    """Host metrics through psutil; the registry says what each is.

    Children are looked for in a thread of its own. What is read of a child that starts another program arrives when the
    kernel has taken its copy of the parent's address space apart: 0.6 s later for 72 GB, as when a video is encoded
    after weights were offloaded.

    `pid` is the measured process, without which there are no figures of the tree; `others` work on the same case.
    """

    def __init__(self, pid: int, *others: int) -> None:
        self._roots = [psutil.Process(pid)]
        for other in others:
            # One that failed at once is as one that ends later.
            with suppress(psutil.NoSuchProcess):
                self._roots.append(psutil.Process(other))
        self._processes = self._roots
        threading.Thread(target=self._find_children, daemon=True).start()
        self._cpu_count = psutil.cpu_count() or 1
        self._cgroup = Cgroup()
        self._quota_cores = self._cgroup.quota_cores()
        self._previous_s = 0.0
        self._previous_busy_s: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """One reading. Shares cover the time since the last one; the first reading has none."""
        memory = psutil.virtual_memory()
        values: dict[str, float] = {"sys_mem_bytes": memory.total - memory.available}
        tree = self._tree()
        now_s, times = time.monotonic(), psutil.cpu_times()
        busy_s = {"cpu_pct": sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))}
        if tree is not None:
            busy_s["process_cpu_pct"], values["process_mem_bytes"] = tree
        if (container_bytes := self._cgroup.used_bytes()) is not None:
            values["container_mem_bytes"] = container_bytes
        if self._quota_cores and (container_s := self._cgroup.cpu_s()) is not None:
            busy_s["container_cpu_pct"] = container_s
        for key in busy_s.keys() & self._previous_busy_s.keys():
            # Over the clock's time and not over the kernel's own count of ticks, so that the kernel's rounding to ticks
            # of 10 ms cancels out over a stage of many samples.
            grown_s = busy_s[key] - self._previous_busy_s[key]
            cores = self._quota_cores if key == "container_cpu_pct" else self._cpu_count
            values[key] = max(0.0, 100 * grown_s / (now_s - self._previous_s) / cores)
        self._previous_s, self._previous_busy_s = now_s, busy_s
        return values

    def pids(self) -> set[int]:
        """Process IDs of the case's processes and their children, as last seen."""
        return {process.pid for process in self._processes}

    def _tree(self) -> tuple[float, int] | None:
        """CPU seconds and resident bytes of the tree; None when the measured process is gone."""
        own, *of_children = map(_times_and_bytes, self._processes)
        # A process that ended has no memory, whether or not its parent has asked for its end: zeros are not its use.
        if own is None or not own[1]:
            return None
        there = [own, *filter(None, of_children)]
        cpu_s = sum(times.user + times.system for times, _ in there)
        # Of children that ended, as far as the system tells.
        cpu_s += getattr(own[0], "children_user", 0.0) + getattr(own[0], "children_system", 0.0)
        return cpu_s, sum(mem_bytes for _, mem_bytes in there)

    def _find_children(self) -> None:
        while True:
            time.sleep(_FIND_CHILDREN_EVERY_S)
            found = list(self._roots)
            for root in self._roots:
                with suppress(psutil.Error):
                    found += root.children(recursive=True)
            self._processes = found


def _times_and_bytes(process: psutil.Process) -> tuple[Any, int] | None:
    """CPU times and resident bytes; None when the process is gone."""
    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return times, memory.rss
