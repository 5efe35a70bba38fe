"""What the supervisor hands to the processes of a case."""

import json
from dataclasses import dataclass
from pathlib import Path

from wanbench.cases.case import Case


@dataclass(frozen=True)
class Job:
    """One attempt at a case, for the processes that run it.

    Attributes:
        gpus: UUIDs of the GPUs that no other case has, in the order of the ranks; none where no GPU is known.
        events: file to which the measured process, which is rank 0, appends its records.
        video: file for the generated video.
        spawned_ns: monotonic time at which the supervisor started the measured process, in nanoseconds.
        conda_env: name of the conda environment that the processes must run in, None without conda.
        started_at: wall-clock time of the start, ISO 8601 in UTC.
    """

    case: Case
    gpus: list[str]
    events: Path
    video: Path
    spawned_ns: int
    conda_env: str | None
    started_at: str

    @property
    def rendezvous(self) -> Path:
        """File by which the processes of a case on several GPUs find each other."""
        return self.events.with_name("rendezvous")

    def events_of(self, rank: int) -> Path:
        """Where a process of the case writes its records."""
        return self.events if rank == 0 else self.events.with_name(f"events_of_rank_{rank}.jsonl")

    def gpus_of(self, rank: int) -> list[str]:
        """The UUID of a process's own GPU; none where no GPU is known."""
        return self.gpus[rank : rank + 1]

    def to_json(self) -> str:
        return json.dumps(vars(self) | {"case": self.case.settings()}, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        values = json.loads(text)
        values |= {"case": Case.from_settings(values["case"])} | {key: Path(values[key]) for key in ("events", "video")}
        return cls(**values)
