"""Free the project folder of the lock of a Snakemake that was killed.

Snakemake's locks are files. They outlive a kill -9, and then every further run is refused until `--unlock`. A flock(2)
held beside them lives no longer than its process: who can have it alone knows that nobody else is running here.
"""

import fcntl
import os
import platform
from contextlib import suppress
from pathlib import Path


def free_of_killed_runs(folder: Path, jobs_run_here: bool) -> None:
    """Remove what killed runs left of Snakemake's locks, and be seen by later runs until this process ends.

    Nothing is removed while another run lives, nor where the last run was on another machine, whose flock a network
    file system may not show, nor where it gave its jobs to a cluster, on which they may still be running. It is then
    Snakemake's lock that refuses this run.

    Args:
        folder: `.snakemake`.
        jobs_run_here: on this machine, so that they end with this process.
    """
    # Read-only, or without flock: Snakemake's lock is all there is.
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        file = os.open(folder / "last_run_on", os.O_RDWR | os.O_CREAT, 0o666)
        here = platform.node().encode() if jobs_run_here else b""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not jobs_run_here:
                os.ftruncate(file, 0)
        else:
            locks = list((folder / "locks").glob("*.lock"))
            if not locks or (here and os.read(file, 1024) == here):
                for lock in locks:
                    lock.unlink()
                os.ftruncate(file, 0)
                os.pwrite(file, here, 0)
        fcntl.flock(file, fcntl.LOCK_SH)
