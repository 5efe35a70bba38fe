"""One attempt at a case at a time, and whose leavings its folder holds.

A job can outlive the run that started it, on a cluster or for a moment on one machine. Two attempts in one folder would
take each other's events for their own.
"""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_POLL_S = 0.2


@dataclass(frozen=True)
class Claim:
    """The work folder of a case, while nobody else works there."""

    file: IO[str]
    work: Path

    def is_of(self, run_id: str) -> bool:
        """Whether what lies in the folder is of this run."""
        self.file.seek(0)
        return self.file.read() == run_id

    def begin(self, run_id: str) -> None:
        """Empty the folder for an attempt of this run."""
        # First it is nobody's: a kill from here on leaves nothing that could be taken for another attempt's.
        self.file.truncate(0)
        self.empty()
        self.file.write(run_id)
        self.file.flush()

    def empty(self, *kept: Path) -> None:
        """Remove what is in the folder, but for the claim and the files named."""
        for path in self.work.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path not in (Path(self.file.name), *kept):
                path.unlink(missing_ok=True)


@contextmanager
def claimed(file: Path, tell: Callable[[str], None]) -> Iterator[Claim]:
    """Wait until nobody else works in the folder of `file`, and keep others out until the end of the block.

    Where the file system has no locks, nobody is kept out.

    Args:
        tell: called once with the reason, if it has to wait.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as held:
        with suppress(OSError):
            if not _lock(held):
                tell("waits: an earlier attempt at this case still runs")
                while not _lock(held):
                    time.sleep(_POLL_S)
        yield Claim(held, file.parent)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
