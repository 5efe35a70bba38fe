"""End a process when another one is gone, even by kill -9. Linux only; elsewhere nothing happens."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LOOK_EVERY_S = 0.4


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies, and do so if it died while this process started."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def end_with(pid: int) -> None:
    """Send SIGTERM to this process within half a second of the end of another, which need not be its parent.

    Between Snakemake and a script there can be a shell, which outlives Snakemake. The kernel could tell of the end at
    once (pidfd_open), but not every Python can ask it: conda-forge's are built for older systems.
    """
    if sys.platform != "linux":
        return
    began = _life_of(pid)

    def watch() -> None:
        while began is not None and _life_of(pid) == began:
            time.sleep(_LOOK_EVERY_S)
        # To the main thread, since a signal that another thread gets wakes it from no system call.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _life_of(pid: int) -> int | None:
    """When a process began, which tells it from a later one of the same ID, in ticks of the machine; None if over."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    # proc(5): from the third field on, of which the first is the state and the 20th the start.
    return None if fields[0] in "ZX" else int(fields[19])


def map_in_processes(function: Callable[..., Any], *arguments: Iterable[Any], processes: int) -> list[Any]:
    """As `list(map(function, *arguments))`, in several processes, which end with this one, even if it is killed."""
    if processes == 1:
        return list(map(function, *arguments))
    with ProcessPoolExecutor(processes, initializer=end_with, initargs=(os.getpid(),)) as pool:
        return list(pool.map(function, *arguments))
