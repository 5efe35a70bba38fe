"""What a run asks of an attempt at a case, and where the attempt writes."""

from dataclasses import dataclass
from pathlib import Path

from wanbench.cases.case import Case
from wanbench.trace.verdict import Limits


@dataclass(frozen=True)
class Places:
    """Where an attempt writes.

    Attributes:
        trace: the trace, written whole at the end.
        log: everything that the measuring process prints, and the progress lines.
        video: the generated video.
        work: folder of this case alone.
        results: folder that keeps failures, and last good traces.
    """

    trace: Path
    log: Path
    video: Path
    work: Path
    results: Path

    @classmethod
    def of_case(cls, name: str, trace: Path, log: Path) -> "Places":
        """Where a run of the grid writes; `trace` is in a folder of its results."""
        results = trace.parents[1]
        return cls(trace, log, results / "videos" / f"{name}.mp4", results / "attempts" / name, results)

    @property
    def claim(self) -> Path:
        """Who works here: locked by the attempt, and holds the identity of its run."""
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
class Order:
    """What a run asks of an attempt at a case.

    Attributes:
        digests: what is measured with, for the trace.
        limits: what the trace is judged by.
        run_id: the same for all that one run of Snakemake starts, and for nothing else.
    """

    case: Case
    places: Places
    digests: dict[str, str]
    limits: Limits
    run_id: str
