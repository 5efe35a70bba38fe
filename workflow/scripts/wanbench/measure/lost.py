"""Write the trace of an attempt that could not write its own: its job was ended, or the machine it ran on."""

import shutil
import time
from datetime import UTC, datetime

from wanbench.cases.case import Case
from wanbench.measure.event_log import EventTail
from wanbench.measure.failures import last_failed_trace
from wanbench.measure.job import Job
from wanbench.measure.outcome import Outcome
from wanbench.measure.spans import read_records
from wanbench.measure.supervisor import Places, conclude, say
from wanbench.trace.names import KILLED
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically

_BROKEN_OFF = (
    "ended before it could write a trace: it was killed, its job was cancelled or ran out of the time or memory "
    "that it had asked for, or its machine went down"
)
_NOT_BEGUN = "nothing was measured: its job failed before that or was cancelled, or its machine went down"


def record_lost_attempt(case: Case, places: Places, digests: dict[str, str], limits: Limits) -> None:
    """Write the trace of the last attempt from what it left, with status `killed`.

    An attempt whose job was ended after it had written a trace, which Snakemake removes then, gets that back.
    """
    written = last_failed_trace(places.results, case.name)
    if written.exists():
        write_atomically(places.trace, written.read_text("utf-8"))
        return
    if places.job.exists():
        job = Job.from_json(places.job.read_text("utf-8"))
        message = _BROKEN_OFF
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        job = Job(case, [], places.events, places.video, time.monotonic_ns(), None, now)
        message = _NOT_BEGUN
    events, samples = EventTail(places.events).new_records(), EventTail(places.samples).new_records()
    instants_ns = [record["time_ns"] for record in events + samples if "time_ns" in record]
    ended_ns = max(instants_ns, default=job.spawned_ns)
    if places.second_log.exists():
        shutil.copyfile(places.second_log, places.log)
    conclude(job, ended_ns, places, digests, limits, read_records(events), Outcome(KILLED, message))
    with places.log.open("a", encoding="utf-8") as log:
        say(log, f"[{case.name}] {KILLED}: {message}")
