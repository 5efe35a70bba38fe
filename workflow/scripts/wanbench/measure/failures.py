"""Which cases failed how often, and the last good trace of each.

Snakemake runs a case again when a parameter of it changed, so the number of failed attempts is one. It removes the
output of a case before running it, and also when the job that made it ended badly, so good traces are kept beside.
"""

import json
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from wanbench.cases.case import Case
from wanbench.cases.messages import of_failed_case
from wanbench.estimate.resources import TO_RECORD_A_LOST_ATTEMPT, Resources, resources_of
from wanbench.measure.outcome import Outcome
from wanbench.registry.stages import FINISHED, OK
from wanbench.trace.writer import read_head, write_atomically


@dataclass(frozen=True)
class Failures:
    """How often a case has failed; of the last time, status, message and the run's identity."""

    failed_attempts: int
    status: str
    message: str | None
    run_id: str


def failures(results: Path) -> dict[str, Failures]:
    """Failures by case name; cases that never failed are not in it."""
    read = ((file.stem, _read(file)) for file in (results / "failures").glob("*.json"))
    return {name: failure for name, failure in read if failure}


def last_good_trace(results: Path, case_name: str) -> Path:
    """Where the last trace of a case that ran to its end is kept."""
    return results / "last_good" / f"{case_name}.json"


def failed_in_run(results: Path, case_names: Container[str], run_id: str) -> list[str]:
    """A line for each of the cases whose attempt in this run failed."""
    lines = []
    for name, failure in sorted(failures(results).items()):
        if failure.run_id == run_id and name in case_names:
            error = (read_head(results / "traces" / f"{name}.json") or {}).get("error") or {}
            stage, error_type = error.get("stage_reached"), error.get("type")
            lines.append(of_failed_case(name, failure.status, stage, error_type, str(failure.message)))
    return lines


def asked_resources(results: Path, case: Case, failure: Failures | None, attempt: int) -> Resources:
    """What the job of a case that had this failure before asks a scheduler for, by Snakemake's count of attempts."""
    if attempt > 1:
        return TO_RECORD_A_LOST_ATTEMPT
    head = read_head(last_good_trace(results, case.name))
    try:
        earlier = head and (Case.from_settings(head["case"]), head["total_duration_s"])
    except (KeyError, TypeError):
        # Of another version.
        earlier = None
    return resources_of(case, earlier, failure and failure.status)


def record_outcome(results: Path, case_name: str, outcome: Outcome, trace_text: str, run_id: str) -> None:
    """Keep the trace of an attempt that ended well, and count one that failed, once in a run.

    Raises:
        OSError: the disk is full.
    """
    if outcome.status == OK:
        write_atomically(last_good_trace(results, case_name), trace_text)
    if outcome.status in FINISHED:
        return
    file = results / "failures" / f"{case_name}.json"
    before = _read(file)
    if before is None or before.run_id != run_id:
        failed_attempts = 1 + (before.failed_attempts if before else 0)
        measured = Failures(failed_attempts, outcome.status, outcome.message, run_id)
        write_atomically(file, json.dumps(asdict(measured)) + "\n")


def _read(file: Path) -> Failures | None:
    """None for what `record_outcome` has not written: with another count of failures the case is measured again."""
    with suppress(OSError, TypeError, ValueError):
        return Failures(**json.loads(file.read_text("utf-8")))
    return None
