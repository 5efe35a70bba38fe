"""An attempt at a case: what a run asks of it, where it writes, and the lock that keeps others out meanwhile."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wanbench.cases.case import Case
from wanbench.trace.verdict import Limits

_POLL_S = 0.2


@dataclass(frozen=True)
class Attempt:
    """What a run of Snakemake asks of one attempt at a case.

    Attributes:
        trace: the trace, written whole at the end, in a folder of the results.
        log: everything that the case's processes print, and the progress lines.
        digests: what is measured with, for the trace.
        limits: what the trace is judged by.
        run_id: the same for all that one run of Snakemake starts, and for nothing else.
    """

    case: Case
    trace: Path
    log: Path
    digests: dict[str, str]
    limits: Limits
    run_id: str

    @property
    def results(self) -> Path:
        """Folder that keeps failures, last good traces, videos, and the work folders of attempts."""
        return self.trace.parents[1]

    @property
    def video(self) -> Path:
        return self.results / "videos" / f"{self.case.name}.mp4"

    @property
    def work(self) -> Path:
        """Folder of this case alone."""
        return self.results / "attempts" / self.case.name

    @property
    def lock(self) -> Path:
        """Locked by the attempt that works here; holds the identity of its run."""
        return self.work / "run"

    @property
    def written(self) -> Path:
        """The trace as the attempt wrote it. Snakemake removes `trace` when the job that made it ends badly."""
        return self.work / "trace.json"

    @property
    def job(self) -> Path:
        return self.work / "job.json"

    @property
    def events(self) -> Path:
        return self.work / "events.jsonl"

    @property
    def samples(self) -> Path:
        return self.work / "samples.jsonl"

    @property
    def second_log(self) -> Path:
        """Another name of the log, since Snakemake removes the log itself before it tries a case again."""
        return self.work / "log"

    @property
    def refusal(self) -> Path:
        """Why the attempt was refused, where it was."""
        return self.work / "refusal"


@dataclass(frozen=True)
class WorkFolder:
    """The work folder of a case, while nobody else works there."""

    lock: IO[str]
    path: Path

    def is_of(self, run_id: str) -> bool:
        """Whether what lies in the folder is of this run."""
        self.lock.seek(0)
        return self.lock.read() == run_id

    def begin(self, run_id: str) -> None:
        """Empty the folder for an attempt of this run."""
        # First it is nobody's: a kill from here on leaves nothing that could be taken for another attempt's.
        self.lock.truncate(0)
        self.empty()
        self.lock.write(run_id)
        self.lock.flush()

    def empty(self, *kept: Path) -> None:
        """Remove what is in the folder, but for the lock and the files named."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path not in (Path(self.lock.name), *kept):
                path.unlink(missing_ok=True)


@contextmanager
def attempt_lock(file: Path, log: Callable[[str], None]) -> Iterator[WorkFolder]:
    """Wait until nobody else works in the folder of `file`, and keep others out until the end of the block.

    A job can outlive the run that started it, and two attempts in one folder would take each other's events for their
    own. Where the file system has no locks, nobody is kept out.

    Args:
        log: called once with the reason, if it has to wait.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="utf-8") as held:
        with suppress(OSError):
            if not _lock(held):
                log("waits: an earlier attempt at this case still runs")
                while not _lock(held):
                    time.sleep(_POLL_S)
        yield WorkFolder(held, file.parent)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
