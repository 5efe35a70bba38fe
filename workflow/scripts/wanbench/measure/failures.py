"""Which cases failed how often, and the last good and the last failed trace of each.

Snakemake runs a case again when a parameter of it changed, so the number of failed attempts is one. It removes the
output of a case before running it, and also when the job that made it ended badly, so these traces are kept beside.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from wanbench.errors import InputError
from wanbench.measure.outcome import Outcome
from wanbench.trace.names import FINISHED, OK
from wanbench.trace.writer import write_atomically


@dataclass(frozen=True)
class Failures:
    """How often a case has failed; status and message of the last time."""

    failed_attempts: int
    status: str
    message: str | None


def failures(results: Path) -> dict[str, Failures]:
    """Failures by case name; cases that never failed are not in it.

    Raises:
        InputError: a file of them is not as `record_outcome` wrote it.
    """
    return {file.stem: _read(file) for file in (results / "failures").glob("*.json")}


def last_good_trace(results: Path, case_name: str) -> Path:
    """Where the last trace of a case that ran to its end is kept."""
    return results / "last_good" / f"{case_name}.json"


def last_failed_trace(results: Path, case_name: str) -> Path:
    """Where the trace of an attempt that did not end well is kept until the next attempt."""
    return results / "last_failed" / f"{case_name}.json"


def record_outcome(results: Path, case_name: str, outcome: Outcome, trace: Path) -> None:
    """Count a failed attempt, and keep its trace."""
    kept = last_good_trace if outcome.status == OK else last_failed_trace
    write_atomically(kept(results, case_name), trace.read_text("utf-8"))
    if outcome.status in FINISHED:
        return
    file = results / "failures" / f"{case_name}.json"
    before = _read(file).failed_attempts if file.exists() else 0
    write_atomically(file, json.dumps(asdict(Failures(before + 1, outcome.status, outcome.message))) + "\n")


def _read(file: Path) -> Failures:
    try:
        kept = Failures(**json.loads(file.read_text("utf-8")))
        if isinstance(kept.failed_attempts, int):
            return kept
    except (TypeError, ValueError):
        pass
    trace = file.parents[1] / "traces" / file.name
    raise InputError(
        f"{file}: does not say how often the case failed; delete it and {trace}, and the case is measured again"
    )
