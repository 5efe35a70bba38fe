"""Write the trace of an attempt that could not write its own: its job was ended, or the machine it ran on."""

import shutil
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime

from wanbench.measure.attempt import Order
from wanbench.measure.attempt_lock import claimed
from wanbench.measure.finalize import conclude, publish
from wanbench.measure.job import Job
from wanbench.measure.log_lines import say
from wanbench.measure.outcome import Outcome, reported_outcome
from wanbench.measure.spans import read_records
from wanbench.registry.stages import KILLED
from wanbench.util.errors import InputError
from wanbench.util.event_log import EventTail

_BROKEN_OFF = (
    "ended before it could write a trace: it was killed, its job was cancelled or ran out of the time or memory "
    "that it had asked for, or its machine went down"
)
_NOT_BEGUN = "nothing was measured: its job failed before that or was cancelled, or its machine went down"


def record_lost_attempt(order: Order) -> None:
    """Write the trace of this run's attempt from what it left.

    An attempt whose job was ended after it had written a trace, which Snakemake removes then, gets that back. One that
    had told how it ended gets a trace that says so; any other has status `killed`.

    Raises:
        InputError: the attempt was refused, with the reason of then.
        OSError: the disk is full.
    """
    places = order.places

    def tell(line: str) -> None:
        print(f"[{order.case.name}] {line}", file=sys.stderr, flush=True)

    with claimed(places.claim, tell) as claim:
        if not claim.is_of(order.run_id):
            claim.begin(order.run_id)
        if not places.written.exists():
            _conclude_lost(order)
        else:
            publish(order)
        claim.empty(places.written)


def _conclude_lost(order: Order) -> None:
    places = order.places
    if places.second_log.exists():
        # Where Snakemake has not removed the log, both names are of one file.
        with suppress(shutil.SameFileError):
            shutil.copyfile(places.second_log, places.log)
    if places.refusal.exists():
        raise InputError(places.refusal.read_text("utf-8"))
    if places.job.exists():
        job = Job.from_json(places.job.read_text("utf-8"))
        message = _BROKEN_OFF
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        job = Job(order.case, [], places.events, places.video, time.monotonic_ns(), None, now)
        message = _NOT_BEGUN
    events, samples = EventTail(places.events).new_records(), EventTail(places.samples).new_records()
    recording = read_records(events)
    instants_ns = [record["time_ns"] for record in events + samples if "time_ns" in record]
    # The last thing that is known may be that weights had moved.
    instants_ns += [end_ns for transfer in recording.transfers for _, end_ns in transfer.intervals]
    outcome = reported_outcome(recording.error, recording.result is not None) or Outcome(KILLED, message)
    conclude(order, job, max([job.spawned_ns, *instants_ns]), recording, outcome)
    with places.log.open("a", encoding="utf-8") as log:
        say(log, f"[{order.case.name}] {outcome.status}: {outcome.message or 'its trace was written afterwards'}")
