"""An attempt at a case: what a run asks of it, where it writes, and the lock that keeps others out meanwhile."""

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from wanbench.cases.case import Case
from wanbench.trace.verdict import Limits


@dataclass
class Attempt:
    """What a run of Snakemake asks of one attempt at a case; and as it begins, for the processes that run the case.

    Attributes:
        trace: written whole at the end, in a folder of the results.
        log: everything that the case's processes print, and the progress lines.
        digests: what is measured with, for the trace.
        run_id: the same for all that one run of Snakemake starts, and for nothing else.
        keep_frames: whether latents and frames of the video are kept, to compare it with others.
        conda_env: name of the conda environment that the processes must run in, None without conda.
        gpus: UUIDs of the GPUs that no other case has, in the order of the ranks; none where no GPU is known.
        spawned_ns: monotonic time at which the measured process was started, in nanoseconds.
        started_at: the same on the wall clock, ISO 8601 in UTC.
    """

    case: Case
    trace: Path
    log: Path
    digests: dict[str, str]
    limits: Limits
    run_id: str
    keep_frames: bool = True
    conda_env: str | None = None
    gpus: Sequence[str] = ()
    spawned_ns: int = 0
    started_at: str = ""

    def __post_init__(self) -> None:
        # Failures, last good traces, videos, and the work folders of attempts.
        self.results = self.trace.parents[1]
        self.video = self.results / "videos" / f"{self.case.name}.mp4"
        self.frames = self.results / "frames" / self.case.name
        # Of this case alone.
        self.work = self.results / "attempts" / self.case.name
        # Holds the identity of the run whose attempt left what lies here, and is locked while one works.
        self.lock = self.work / "run"
        # The trace as the attempt wrote it. Snakemake removes `trace` when the job that made it ends badly.
        self.written = self.work / "trace.json"
        self.job = self.work / "job.json"
        # What the measured process, which is rank 0, writes down.
        self.events = self.work / "events.jsonl"
        self.samples = self.work / "samples.jsonl"
        # Another name of the log, since Snakemake removes the log itself before it tries a case again.
        self.second_log = self.work / "log"
        # By which the processes of a case on several GPUs find each other.
        self.rendezvous = self.work / "rendezvous"

    def begun(self, conda_env: str | None = None, gpus: Sequence[str] = ()) -> "Attempt":
        """The attempt as it begins now."""
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        return replace(self, conda_env=conda_env, gpus=gpus, spawned_ns=time.monotonic_ns(), started_at=started_at)

    def events_of(self, rank: int) -> Path:
        """Where a process of the case writes its records."""
        return self.events if rank == 0 else self.work / f"events_of_rank_{rank}.jsonl"

    def gpus_of(self, rank: int) -> Sequence[str]:
        """The UUID of a process's own GPU; none where no GPU is known."""
        return self.gpus[rank : rank + 1]

    @contextmanager
    def alone(self, log: Callable[[str], None]) -> Iterator[None]:
        """Keep other attempts at the case out of its work folder until the end of the block.

        A job can outlive the run that started it; `log` is told if that is waited for. Where the file system has no
        locks, nobody is kept out.

        Raises:
            OSError: the folder cannot be made or written to.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        with self.lock.open("a") as held:
            with suppress(OSError):
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    log("waits: an earlier attempt at this case still runs")
                    fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def has_begun(self) -> bool:
        """Whether what lies in the work folder is of this run."""
        return self.lock.read_text("utf-8") == self.run_id

    def begin(self) -> None:
        """Empty the work folder for this run."""
        # First it is nobody's: a kill from here on leaves nothing that could be taken for another attempt's.
        self.lock.write_text("", "utf-8")
        self.empty()
        self.lock.write_text(self.run_id, "utf-8")

    def empty(self, *kept: Path) -> None:
        """Remove what is in the work folder, but for the lock and the files named."""
        for path in self.work.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path not in (self.lock, *kept):
                path.unlink(missing_ok=True)

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Attempt":
        values = json.loads(text)
        values |= {"case": Case.from_settings(values["case"]), "limits": Limits(**values["limits"])}
        return cls(**values | {key: Path(values[key]) for key in ("trace", "log")})
