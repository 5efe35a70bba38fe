"""Run one attempt at a case in a process of its own, and leave a trace of it whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from wanbench.cases.case import Case
from wanbench.cases.scale import as_sized
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.measure.attempt import Order, Places
from wanbench.measure.attempt_lock import claimed
from wanbench.measure.finalize import conclude
from wanbench.measure.gpu_slots import Slot, own_slot
from wanbench.measure.job import Job
from wanbench.measure.log_lines import say
from wanbench.measure.log_pipe import log_pipe
from wanbench.measure.outcome import Outcome, TimeLimit, time_limit
from wanbench.measure.progress import Progress, starting
from wanbench.measure.rank_ends import RankEnd, outcome_of_ranks
from wanbench.measure.spans import read_records
from wanbench.telemetry.gpus import Gpu, usable_gpus
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.trace.writer import write_atomically
from wanbench.util.errors import InputError
from wanbench.util.event_log import EventTail
from wanbench.util.redaction import redacted_message

# A trace takes up to some megabytes, a video some tens.
_MIN_FREE_BYTES = 100_000_000
_POLL_S = 0.2
_SAMPLER_ENDS_WITHIN_S = 5.0
# GPM's readings tell of up to two intervals before, when nothing new had been latched.
_AFTER_THE_END_S = 3 * SAMPLING_INTERVAL_S
# A rank that loses another tells so at once, or waits for it until it is ended.
_RANKS_END_WITHIN_S = 1.0
_PACKAGE_ROOT = Path(__file__).parents[2]


def supervise(order: Order, conda_env: str | None, job_limit_s: float | None = None) -> Outcome:
    """Wait for GPUs that no other case has, measure a case on them, and write its trace.

    An interruption (Ctrl-C, SIGTERM) ends the measuring process and is raised on, without a trace; what it leaves is
    for `record_lost_attempt`.

    Args:
        conda_env: name of the conda environment that this process runs in, None without conda.
        job_limit_s: time after which a scheduler would soon end the job that this runs in, in seconds.

    Raises:
        InputError: there can be no locks that keep other cases off the GPU, or the disk is nearly full.
        OSError: the disk is full.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    case, places = order.case, order.places
    with places.log.open("a", encoding="utf-8") as log:

        def tell(line: str) -> None:
            say(log, f"[{case.name}] {line}")

        with claimed(places.claim, tell) as claim:
            claim.begin(order.run_id)
            places.video.unlink(missing_ok=True)
            # Some file systems have no hard links; that costs a lost attempt its log, and no more.
            with suppress(OSError):
                os.link(places.log, places.second_log)
            try:
                _check_space(places.results)
                usable = usable_gpus(os.environ)
                # Where there are too few, the measuring process says so in the trace.
                with own_slot(usable, min(case.gpus, len(usable)), tell) as slot:
                    left_s = job_limit_s and max(0.0, job_limit_s - (time.monotonic() - began_s))
                    outcome = _attempt(order, conda_env, slot, log, time_limit(case.timeout_s, left_s))
            except InputError as error:
                reason = redacted_message(str(error))
                tell(reason)
                with suppress(OSError):
                    write_atomically(places.refusal, reason)
                raise
            claim.empty(places.written)
        tell(f"{outcome.status}{f': {outcome.message}' if outcome.message else ''}")
    return outcome


def _check_space(results: Path) -> None:
    free_bytes = shutil.disk_usage(results).free
    if free_bytes < _MIN_FREE_BYTES:
        raise InputError(
            f"{results}: {free_bytes / 1e6:.0f} MB are free on its disk; needed: {_MIN_FREE_BYTES / 1e6:.0f} MB"
        )


def _attempt(order: Order, conda_env: str | None, slot: Slot, log: IO[str], limit: TimeLimit) -> Outcome:
    case, places = order.case, order.places
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    job = Job(case, slot.uuids, places.events, places.video, time.monotonic_ns(), conda_env, started_at)
    write_atomically(places.job, job.to_json())
    with ExitStack() as running:
        ranks = [running.enter_context(_rank(rank, job, places, slot)) for rank in range(_ranks(case, slot))]
        pids = ",".join(str(process.pid) for process in ranks)
        sampler = running.enter_context(
            _process(
                "wanbench.telemetry.sampler",
                [places.samples, pids, SAMPLING_INTERVAL_S, *slot.uuids],
                places.log,
                {},
            )
        )
        warning = _will_not_fit(case, slot.gpus)
        if warning is not None:
            say(log, warning)
        ending = _wait(ranks, limit, _reporter(case, places.events, log))
        ended_ns = time.monotonic_ns()
        if any(code != 0 for code in ending.return_codes):
            # The end of a case that failed is the end of its last stage, which needs a reading on both sides.
            time.sleep(_AFTER_THE_END_S)
        sampler.terminate()
        # One that hangs in the driver is killed on leaving the block; what it wrote is used all the same.
        with suppress(subprocess.TimeoutExpired):
            sampler.wait(_SAMPLER_ENDS_WITHIN_S)
    recordings = [read_records(EventTail(job.events_of(rank)).new_records()) for rank in range(len(ranks))]
    ends = [RankEnd(i, code, recordings[i].error) for i, code in enumerate(ending.return_codes)]
    recording = recordings[0]
    outcome = outcome_of_ranks(ends, ending.passed, recording.result is not None)
    conclude(order, job, ended_ns, recording, outcome)
    return outcome


def _ranks(case: Case, slot: Slot) -> int:
    """Number of processes: one for each GPU, or on the CPU as many."""
    return case.gpus if len(slot.gpus) in (0, case.gpus) else 1


def _rank(rank: int, job: Job, places: Places, slot: Slot) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A process of the case: rank 0 is measured, the others work beside it."""
    module, arguments = "wanbench.measure.measured_process", [places.job]
    if rank:
        module, arguments = "wanbench.measure.rank", [rank, places.job]
    variables = slot.environment_of(rank) | _compiles_anew(places.work / f"compiled_{rank}")
    variables |= _threads(job.case.gpus)
    return _process(module, arguments, places.log, variables, slot.locks)


@contextmanager
def _process(
    module: str, arguments: list[object], log: Path, variables: dict[str, str], inherited: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process in a session of its own; it and what it started are gone after the block."""
    python_path = os.pathsep.join([str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"} | _threads(1) | variables
    # A pipe each, so that no process writes into the middle of another's line.
    with log_pipe(log) as said:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(os.getpid()), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            pass_fds=inherited,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # Also when it ended by itself: what it started may still run.
            _kill_group(process)
            process.wait()


def _threads(ranks: int) -> dict[str, str]:
    """Environment of a process that shares the cores with others of its case.

    Snakemake sets these variables to the rule's threads. Stock diffusers uses all cores that it may, and so must we.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(max(1, _usable_cores() // ranks)))


def _usable_cores() -> int:
    """Logical cores that this process may run on, which a scheduler can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _will_not_fit(case: Case, gpus: list[Gpu]) -> str | None:
    """A warning, and no more: an estimate can be wrong, and out of memory is a result."""
    needed_bytes = estimated_peak_bytes(as_sized(case))
    if needed_bytes is None or not gpus or needed_bytes <= gpus[0].mem_total_bytes:
        return None
    return (
        f"[{case.name}] warning: will probably not fit: about {needed_bytes / 1e9:.1f} GB are needed, "
        f"and this GPU has {gpus[0].mem_total_bytes / 1e9:.1f} GB"
    )


def _compiles_anew(folder: Path) -> dict[str, str]:
    """Environment in which torch finds nothing that another process has compiled: each case pays for its own."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder.absolute())}


@dataclass(frozen=True)
class _Ending:
    """How the ranks of a case ended.

    Attributes:
        passed: the limit, if they were ended for it.
        return_codes: None for a rank that did not end by itself.
    """

    passed: TimeLimit | None
    return_codes: list[int | None]


def _wait(ranks: Sequence[subprocess.Popen[bytes]], limit: TimeLimit, report: Callable[[], None]) -> _Ending:
    """Wait for the end of the first rank, which then is over, or of another that fails."""
    deadline_s = time.monotonic() + limit.time_s
    first, passed = ranks[0], None
    while passed is None and not any(rank.poll() for rank in ranks) and first.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            first.wait(_POLL_S)
        report()
        passed = limit if first.poll() is None and time.monotonic() >= deadline_s else None
    if passed is None and any(rank.poll() for rank in ranks):
        _wait_a_moment(ranks)
    return_codes = [rank.poll() for rank in ranks]
    _kill_group(first)
    first.wait()
    report()
    return _Ending(passed, return_codes)


def _wait_a_moment(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let ranks end by themselves whose others have failed."""
    deadline_s = time.monotonic() + _RANKS_END_WITHIN_S
    for rank in ranks:
        with suppress(subprocess.TimeoutExpired):
            rank.wait(max(0.0, deadline_s - time.monotonic()))


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _reporter(case: Case, events: Path, log: IO[str]) -> Callable[[], None]:
    """A function that prints what has happened since it was last called, to the log and the terminal."""
    tail, progress = EventTail(events), Progress(case.name)

    say(log, starting(case.name))

    def report() -> None:
        for record in tail.new_records():
            line = progress.line(record)
            if line is not None:
                say(log, line)

    return report
