"""An attempt at a case: what a run asks of it, where it writes, and the lock that keeps others out meanwhile."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wanbench.cases.case import Case
from wanbench.trace.verdict import Limits


@dataclass
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

    def __post_init__(self) -> None:
        # Failures, last good traces, videos, and the work folders of attempts.
        self.results = self.trace.parents[1]
        self.video = self.results / "videos" / f"{self.case.name}.mp4"
        # Of this case alone.
        self.work = self.results / "attempts" / self.case.name
        # Locked by the attempt that works here; holds the identity of its run.
        self.lock = self.work / "run"
        # The trace as the attempt wrote it. Snakemake removes `trace` when the job that made it ends badly.
        self.written = self.work / "trace.json"
        self.job = self.work / "job.json"
        self.events = self.work / "events.jsonl"
        self.samples = self.work / "samples.jsonl"
        # Another name of the log, since Snakemake removes the log itself before it tries a case again.
        self.second_log = self.work / "log"
        # Why the attempt was refused, where it was.
        self.refusal = self.work / "refusal"


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
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log("waits: an earlier attempt at this case still runs")
                fcntl.flock(held, fcntl.LOCK_EX)
        yield WorkFolder(held, file.parent)
