"""Which cases failed how often, and the last good trace of each.

Snakemake runs a case again when a parameter of it changed, so the number of failed attempts is one. It removes
the output of a case before running it, so the last good trace is kept beside.
"""

import json
from pathlib import Path

from wanbench.measure.outcome import Outcome
from wanbench.trace.names import FINISHED, OK
from wanbench.trace.writer import write_atomically


def failed_attempts(results: Path) -> dict[str, int]:
    """Number of failed attempts by case name; cases that never failed are not in it."""
    files = (results / "failures").glob("*.json")
    return {file.stem: json.loads(file.read_text("utf-8"))["failed_attempts"] for file in files}


def last_good_trace(results: Path, case_name: str) -> Path:
    """Where the last trace of a case that ran to its end is kept."""
    return results / "last_good" / f"{case_name}.json"


def record_outcome(results: Path, case_name: str, outcome: Outcome, trace: Path) -> None:
    """Count a failed attempt, or keep the trace of a good one."""
    if outcome.status == OK:
        write_atomically(last_good_trace(results, case_name), trace.read_text("utf-8"))
    if outcome.status in FINISHED:
        return
    file = results / "failures" / f"{case_name}.json"
    before = json.loads(file.read_text("utf-8"))["failed_attempts"] if file.exists() else 0
    text = json.dumps({"failed_attempts": before + 1, "status": outcome.status, "message": outcome.message})
    write_atomically(file, text + "\n")
