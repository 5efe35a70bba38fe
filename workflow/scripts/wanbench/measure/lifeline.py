"""End a process when the one that started it is gone, even by kill -9."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies. Linux only; elsewhere nothing happens.

    Args:
        parent_pid: as the parent knows it. Asking for it here would be too late: a parent that died while this
            process was starting has already been replaced.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
