"""End a process when another one is gone, even by kill -9. Linux only; elsewhere nothing happens."""

import ctypes
import os
import select
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies.

    Args:
        parent_pid: as the parent knows it. Asking for it here would be too late: a parent that died while this
            process was starting has already been replaced.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def end_with(pid: int) -> None:
    """Send SIGTERM to this process when another ends that need not be its parent; needs Linux 5.3.

    Between Snakemake and a script there can be a shell, which outlives Snakemake.
    """
    if not hasattr(os, "pidfd_open"):
        return
    try:
        other = os.pidfd_open(pid)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    except OSError:
        return

    def wait() -> None:
        ended = select.poll()
        ended.register(other, select.POLLIN)
        ended.poll()
        # To the main thread, since a signal that another thread gets wakes it from no system call.
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
