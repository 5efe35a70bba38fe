"""What is left of an attempt that is over: its trace, and what is kept for later attempts."""

from pathlib import Path

from wanbench.measure.assemble import Attempt, assemble
from wanbench.measure.attempt import Order
from wanbench.measure.environment import git_state
from wanbench.measure.failures import record_outcome
from wanbench.measure.job import Job
from wanbench.measure.outcome import Outcome
from wanbench.measure.spans import Recording
from wanbench.telemetry.refresh_phase import placed_by_load
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.telemetry.samples import read_samples
from wanbench.trace.writer import read_head, write_atomically, write_trace
from wanbench.util.event_log import EventTail


def conclude(order: Order, job: Job, ended_ns: int, recording: Recording, outcome: Outcome) -> None:
    """Write the trace of an attempt that is over.

    Args:
        ended_ns: monotonic time of its end, in nanoseconds.
        recording: what its measuring process wrote.

    Raises:
        OSError: the disk is full.
    """
    places = order.places
    sampled = placed_by_load(
        read_samples(EventTail(places.samples).new_records(), SAMPLING_INTERVAL_S), recording.matmul_times
    )
    git = git_state(Path(__file__).parents[4])
    case = job.case.settings()
    attempt = Attempt(case, order.digests, job.spawned_ns, ended_ns, job.started_at, git, order.limits)
    write_trace(places.written, assemble(attempt, recording, sampled, outcome))
    publish(order)


def publish(order: Order) -> None:
    """Bring a trace that was written to where it belongs; to do it again changes nothing.

    Raises:
        OSError: the disk is full.
    """
    text = order.places.written.read_text("utf-8")
    head = read_head(order.places.written)
    message = (head["error"] or {}).get("message")
    # The output last: a case counts as failed, and its good trace is kept, before Snakemake can see that it is done.
    record_outcome(order.places.results, order.case.name, Outcome(head["status"], message), text, order.run_id)
    write_atomically(order.places.trace, text)
