"""Cases side by side on one machine, each with GPUs of its own: locks that die with who holds them.

A GPU is a file named by its UUID, in a folder that only this user can write; who computes on the GPU holds the file's
flock(2). The kernel frees it when the last process that has the file open is gone, however it went. Processes of
other users, and in containers with another temporary directory, are not held off.
"""

import fcntl
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wanbench.telemetry.gpus import Gpu, find_gpus
from wanbench.util.errors import InputError

_POLL_S = 0.2


@dataclass(frozen=True)
class Slot:
    """What a case has to itself.

    Attributes:
        gpus: none where it has the whole machine, since no GPU is known there.
        locks: file descriptors to hand on to the processes that compute on the GPUs, and may outlive their supervisor.
    """

    gpus: list[Gpu]
    locks: tuple[int, ...]

    @property
    def uuids(self) -> list[str]:
        return [gpu.uuid for gpu in self.gpus]

    def environment(self, rank: int = 0) -> dict[str, str]:
        """Variables that show CUDA these GPUs and no other, the process's own first: it computes on that one.

        NCCL copies directly between GPUs that it can see.
        """
        own_first = self.uuids[rank : rank + 1] + self.uuids[:rank] + self.uuids[rank + 1 :]
        return {"CUDA_VISIBLE_DEVICES": ",".join(own_first)} if self.gpus else {}


@contextmanager
def own_slot(usable: list[Gpu], count: int, log: Callable[[str], None]) -> Iterator[Slot]:
    """Have `count` of the GPUs to oneself, or without GPUs the machine; waits until they are free.

    All are taken at once or none, so cases that want several never wait for each other; `log` is told of a wait, once.

    Args:
        usable: in the order of preference; without any, no other slot is given out meanwhile.

    Raises:
        InputError: the folder of the locks is not this user's alone, cannot be made, or lies where there are no locks.
    """
    with ExitStack() as held:
        folder = Path(tempfile.gettempdir(), f"wanbench-{os.geteuid()}")
        try:
            _make_private(folder)
            slot = _take(folder, usable, count, held)
        except OSError as error:
            reason = f"cannot hold the locks of GPUs: {error.strerror}; name another folder by TMPDIR"
            raise InputError(f"{folder}: {reason}") from None
        if slot is None:
            held_by = "other cases have the GPUs that it may use"
            log(f"waits: {held_by if usable else 'another case runs, and without a GPU one runs at a time'}")
        while slot is None:
            time.sleep(_POLL_S)
            slot = _take(folder, usable, count, held)
        yield slot


@contextmanager
def process_slot(name: str) -> Iterator[None]:
    """Have one GPU, or without GPUs the machine, to this process, in which CUDA sees no other.

    To be entered before anything asks CUDA for a GPU, as an import may: it reads the variable once. Raises as
    `own_slot`; waiting is told under `name`.
    """

    def tell(line: str) -> None:
        for stream in (sys.stderr, sys.__stderr__):
            print(f"[{name}] {line}", file=stream)

    with own_slot(find_gpus(os.environ).gpus, 1, tell) as slot:
        os.environ |= slot.environment()
        yield


def _take(folder: Path, usable: list[Gpu], count: int, held: ExitStack) -> Slot | None:
    """A slot whose locks `held` will close, or None."""
    with ExitStack() as looking, ExitStack() as taken:
        # One looks at a time: else two that want both of two GPUs could each find one of them taken.
        _lock(folder, "looking", fcntl.LOCK_EX, looking)
        machine = _lock(folder, "machine", (fcntl.LOCK_SH if usable else fcntl.LOCK_EX) | fcntl.LOCK_NB, taken)
        if machine is None:
            return None
        locks: list[tuple[Gpu, int]] = []
        for gpu in usable:
            lock = _lock(folder, gpu.uuid, fcntl.LOCK_EX | fcntl.LOCK_NB, taken) if len(locks) < count else None
            locks += [] if lock is None else [(gpu, lock)]
        if usable and len(locks) < count:
            return None
        held.push(taken.pop_all())
        return Slot([gpu for gpu, _ in locks], (machine, *(lock for _, lock in locks)))


def _lock(folder: Path, name: str, how: int, taken: ExitStack) -> int | None:
    """An open file with its lock, which `taken` will close; None where the lock is another's."""
    file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        os.close(file)
        return None
    taken.callback(os.close, file)
    # What cleans temporary directories removes files that were not used for days.
    os.utime(file)
    return file


def _make_private(folder: Path) -> None:
    """Make the folder, if there is none, and refuse one that is not this user's alone."""
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise InputError(
            f"{folder}: belongs to user {found.st_uid} as {stat.filemode(found.st_mode)}, so others could free or hold "
            f"the locks of GPUs; allowed: a folder of user {os.geteuid()} with mode 700. Remove it, or name another "
            "folder by TMPDIR"
        )
