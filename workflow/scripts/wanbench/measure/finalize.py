"""What is left of an attempt that is over: its trace, and what is kept for later attempts.

An attempt that could not finalize itself, since its job or its machine was ended, is recovered by a second job.
"""

import shutil
from contextlib import suppress
from functools import partial

from wanbench.cases.first_frame import changes_of_image
from wanbench.measure.assemble import assemble
from wanbench.measure.attempt import Attempt
from wanbench.measure.case_log import log_line
from wanbench.measure.environment import git_state
from wanbench.measure.failures import record_outcome
from wanbench.measure.outcome import Outcome, reported_outcome
from wanbench.measure.spans import Recording, read_records
from wanbench.registry.stages import KILLED
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.telemetry.samples import placed_by_load, read_samples
from wanbench.trace.writer import read_head, write_atomically, write_trace
from wanbench.util.event_log import EventTail
from wanbench.util.paths import PROJECT

_BROKEN_OFF = (
    "ended before it could write a trace: it was killed, its job was cancelled or ran out of the time or memory "
    "that it had asked for, or its machine went down"
)
_NOT_BEGUN = "nothing was measured: its job failed before that or was cancelled, or its machine went down"


def finalize(attempt: Attempt, ended_ns: int, recording: Recording, outcome: Outcome) -> None:
    """Write the trace of an attempt that ended at `ended_ns`, monotonic, in nanoseconds.

    Raises:
        OSError: the disk is full.
    """
    samples = read_samples(EventTail(attempt.samples).new_records(), SAMPLING_INTERVAL_S)
    samples = placed_by_load(samples, recording.matmul_times)
    about = git_state(PROJECT) | {"image_changes": "; ".join(changes_of_image(attempt.case)) or None}
    write_trace(attempt.written, assemble(attempt, ended_ns, recording, samples, outcome) | about)
    _show(attempt)


def _show(attempt: Attempt) -> None:
    """Bring a trace that was written to where it belongs; to do it again changes nothing."""
    text = attempt.written.read_text("utf-8")
    head = read_head(attempt.written)
    outcome = Outcome(head["status"], (head["error"] or {}).get("message"))
    # The output last: a case counts as failed, and its good trace is kept, before Snakemake can see that it is done.
    record_outcome(attempt.results, attempt.case.name, outcome, text, attempt.run_id)
    write_atomically(attempt.trace, text)


def recover(attempt: Attempt) -> None:
    """Write the trace of this run's attempt from what it left.

    An attempt whose job was ended after it had written a trace, which Snakemake removes then, gets that back. One that
    had written down how it ended gets a trace that says so; any other has status `killed`.

    Raises:
        OSError: the disk is full.
    """
    with attempt.log.open("a", encoding="utf-8") as file:
        log = partial(log_line, file, attempt.case.name)
        with attempt.alone(log):
            if not attempt.has_begun():
                attempt.begin()
            if attempt.written.exists():
                _show(attempt)
            else:
                outcome = _finalize_from_leavings(attempt)
                log(f"{outcome.status}: {outcome.message or 'its trace was written afterwards'}")
            attempt.empty(attempt.written)


def _finalize_from_leavings(attempt: Attempt) -> Outcome:
    if attempt.second_log.exists():
        # Where Snakemake has not removed the log, both names are of one file.
        with suppress(shutil.SameFileError):
            shutil.copyfile(attempt.second_log, attempt.log)
    if attempt.job.exists():
        attempt, message = Attempt.from_json(attempt.job.read_text("utf-8")), _BROKEN_OFF
    else:
        attempt, message = attempt.begun(), _NOT_BEGUN
    events, samples = EventTail(attempt.events).new_records(), EventTail(attempt.samples).new_records()
    recording = read_records(events)
    instants_ns = [record["time_ns"] for record in events + samples if "time_ns" in record]
    # The last thing that is known may be a weight transfer.
    instants_ns += [end_ns for transfer in recording.transfers for _, end_ns in transfer["intervals"]]
    outcome = reported_outcome(recording.error, recording.result is not None) or Outcome(KILLED, message)
    finalize(attempt, max([attempt.spawned_ns, *instants_ns]), recording, outcome)
    return outcome
