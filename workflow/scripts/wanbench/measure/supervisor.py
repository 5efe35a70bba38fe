"""Run one attempt at a case in processes of its own, and leave a trace of it whatever happens."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from wanbench.cases.case import Case
from wanbench.cases.first_frame import changes_of_image
from wanbench.cases.scale import as_sized
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.measure.attempt import Attempt
from wanbench.measure.case_log import Progress, log_line, log_pipe
from wanbench.measure.finalize import finalize
from wanbench.measure.gpu_slots import Slot, own_slot
from wanbench.measure.outcome import Outcome, TimeLimit, outcome_of, time_limit
from wanbench.measure.spans import Recording, read_records
from wanbench.registry.stages import ERROR, PROCESS_STARTUP
from wanbench.telemetry.cgroup import Cgroup, usable_cores, usable_memory_bytes
from wanbench.telemetry.gpus import Gpu, find_gpus
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.trace.writer import write_atomically
from wanbench.util.errors import InputError
from wanbench.util.event_log import EventTail
from wanbench.util.redaction import redacted_message

# A trace takes up to some megabytes, a video some tens.
_MIN_FREE_BYTES = 100_000_000
_POLL_S = 0.2
_SAMPLER_ENDS_WITHIN_S = 5.0
# GPM's readings are of up to two intervals before, where the counters had not been refreshed.
_AFTER_THE_END_S = 3 * SAMPLING_INTERVAL_S
# A rank that loses another writes that down at once, or waits for it until it is ended.
_RANKS_END_WITHIN_S = 1.0
_PACKAGE_ROOT = Path(__file__).parents[2]
# As `python -m MODULE`, but without the working directory, whose random.py would be taken for Python's; and where the
# package lies is told by no PYTHONPATH, which cannot hold a path with a colon.
_AS_MODULE = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
# Transformers, which reads docstrings, cannot be imported with the first; the others make errors of warnings, and hide
# exit codes.
_FOR_OTHER_PROGRAMS = ("PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT")
_Log = Callable[[str], None]
_Process = subprocess.Popen[bytes]


def supervise(attempt: Attempt, conda_env: str | None, job_limit_s: float | None = None) -> Outcome:
    """Wait for GPUs that no other case has, measure a case on them, and write its trace.

    Where there can be no locks that keep other cases off the GPU, or the disk is nearly full, nothing is measured, and
    the status is `error`. An interruption (Ctrl-C, SIGTERM) ends the processes of the case and is raised on, without a
    trace; what it leaves is for `recover`.

    Args:
        conda_env: name of the conda environment that this process runs in, None without conda.
        job_limit_s: time after which a scheduler would soon end the job that this runs in, in seconds.

    Raises:
        OSError: the disk is full.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    case = attempt.case
    with attempt.log.open("a", encoding="utf-8") as file:
        log = partial(log_line, file, case.name)
        with attempt.alone(log):
            attempt.begin()
            attempt.video.unlink(missing_ok=True)
            shutil.rmtree(attempt.frames, ignore_errors=True)
            # Some file systems have no hard links; then an attempt that is recovered has no log, and no more.
            with suppress(OSError):
                os.link(attempt.log, attempt.second_log)
            try:
                _check_space(attempt.results)
                found = find_gpus(os.environ)
                if found.reason and not found.gpus:
                    log(f"warning: no GPU is used: {found.reason}")
                # Where there are too few, the measured process says so in the trace.
                with own_slot(found.gpus, min(case.gpus, len(found.gpus)), log) as slot:
                    left_s = job_limit_s and max(0.0, job_limit_s - (time.monotonic() - began_s))
                    begun = attempt.begun(conda_env, slot.uuids)
                    outcome = _measure(begun, slot, log, time_limit(case.timeout_s, left_s))
            except InputError as error:
                outcome = Outcome(ERROR, redacted_message(str(error)), type(error).__name__)
                finalize(attempt.begun(), time.monotonic_ns(), Recording(), outcome)
            attempt.empty(attempt.written)
        log(f"{outcome.status}{f': {outcome.message}' if outcome.message else ''}")
    return outcome


def _check_space(results: Path) -> None:
    free_bytes = shutil.disk_usage(results).free
    if free_bytes < _MIN_FREE_BYTES:
        needed = f"needed: {_MIN_FREE_BYTES / 1e6:.0f} MB"
        raise InputError(f"{results}: {free_bytes / 1e6:.0f} MB are free on its disk; {needed}")


def _measure(attempt: Attempt, slot: Slot, log: _Log, limit: TimeLimit) -> Outcome:
    case = attempt.case
    write_atomically(attempt.job, attempt.to_json())
    # One process for each GPU, or on the CPU as many.
    count = case.gpus if len(slot.gpus) in (0, case.gpus) else 1
    cgroup = Cgroup()
    kills = cgroup.memory_kills()
    with ExitStack() as running:
        ranks = [running.enter_context(_rank(rank, attempt, slot)) for rank in range(count)]
        pids = ",".join(str(process.pid) for process in ranks)
        arguments = [attempt.samples, pids, SAMPLING_INTERVAL_S, *slot.uuids]
        sampler = running.enter_context(_process("wanbench.telemetry.sampler", arguments, attempt.log, {}))
        _warn_where_it_will_not_fit(case, slot.gpus, log)
        for change in changes_of_image(case):
            log(f"image: {change}")
        passed, return_codes = _wait(ranks, limit, _reporter(attempt.events, log))
        ended_ns = time.monotonic_ns()
        if any(code != 0 for code in return_codes):
            # The end of a case that failed is the end of its last stage, which needs a reading on both sides.
            time.sleep(_AFTER_THE_END_S)
        sampler.terminate()
        # One that hangs in the driver is killed on leaving the block; what it wrote is used all the same.
        with suppress(subprocess.TimeoutExpired):
            sampler.wait(_SAMPLER_ENDS_WITHIN_S)
    recordings = [read_records(EventTail(attempt.events_of(rank)).new_records()) for rank in range(count)]
    # One that was ended before it could write anything down was starting.
    recordings[0].stage_reached = recordings[0].stage_reached or PROCESS_STARTUP
    errors = [recording.error for recording in recordings]
    ran_out_bytes = cgroup.limit_bytes() if cgroup.memory_kills() > kills else None
    outcome = outcome_of(return_codes, errors, passed, recordings[0].result is not None, ran_out_bytes)
    finalize(attempt, ended_ns, recordings[0], outcome)
    return outcome


def _rank(rank: int, attempt: Attempt, slot: Slot) -> AbstractContextManager[_Process]:
    """A process of the case: rank 0 is measured, the others work beside it."""
    # Each case pays for its own compilation: torch finds nothing there that another process has compiled.
    cache = {"TORCHINDUCTOR_CACHE_DIR": str((attempt.work / f"compiled_{rank}").absolute())}
    variables = slot.environment(rank) | cache | _threads(attempt.case.gpus)
    return _process("wanbench.measure.measured_process", [rank, attempt.job], attempt.log, variables, slot.locks)


@contextmanager
def _process(
    module: str, arguments: list[object], log: Path, variables: dict[str, str], inherited: tuple[int, ...] = ()
) -> Iterator[_Process]:
    """A Python process in a session of its own; it and what it started are gone after the block."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOR_OTHER_PROGRAMS}
    environment = kept | {"PYTHONUNBUFFERED": "1"} | variables
    command = [sys.executable, "-P", "-c", _AS_MODULE, str(_PACKAGE_ROOT), module, str(os.getpid())]
    # A pipe each, so that no process writes into the middle of another's line.
    with log_pipe(log) as output:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
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
    """Environment of a process that shares the cores that it may use with others of its case.

    Snakemake sets these variables to the rule's threads. Stock diffusers uses all cores that it may, and so must we.
    Under a quota more threads than that would stop each other.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(max(1, math.ceil(usable_cores()) // ranks)))


def _warn_where_it_will_not_fit(case: Case, gpus: list[Gpu], log: _Log) -> None:
    """A warning, and no more: an estimate can be wrong, and out of memory is a result."""
    needed_bytes, on_host_bytes = estimated_peak_bytes(as_sized(case)), estimated_host_bytes(as_sized(case))
    there_bytes, host_bytes = gpus[0].mem_total_bytes if gpus else None, usable_memory_bytes()
    if needed_bytes is not None and there_bytes is not None and needed_bytes > there_bytes:
        there = f"this GPU has {there_bytes / 1e9:.1f} GB"
        log(f"warning: will probably not fit: about {needed_bytes / 1e9:.1f} GB are needed, and {there}")
    if on_host_bytes > host_bytes:
        there = f"this machine or its container has {host_bytes / 1e9:.1f} GB"
        log(f"warning: may need more host memory: up to {on_host_bytes / 1e9:.1f} GB are needed, and {there}")


def _wait(
    ranks: Sequence[_Process], limit: TimeLimit, report: Callable[[], None]
) -> tuple[TimeLimit | None, list[int | None]]:
    """Wait for the end of the first rank, which then is over, or of another that fails.

    Returns:
        The limit, if they were ended for it, and the return code of each rank; None for one that did not end by itself.
    """
    deadline_s = time.monotonic() + limit.time_s
    first, is_over = ranks[0], False
    while not is_over and time.monotonic() < deadline_s:
        with suppress(subprocess.TimeoutExpired):
            first.wait(_POLL_S)
        report()
        is_over = first.poll() is not None or any(rank.poll() for rank in ranks)
    if any(rank.poll() for rank in ranks):
        # The others may end by themselves for it.
        deadline_s = time.monotonic() + _RANKS_END_WITHIN_S
        for rank in ranks:
            with suppress(subprocess.TimeoutExpired):
                rank.wait(max(0.0, deadline_s - time.monotonic()))
    return_codes = [rank.poll() for rank in ranks]
    _kill_group(first)
    first.wait()
    report()
    return None if is_over else limit, return_codes


def _kill_group(process: _Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _reporter(events: Path, log: _Log) -> Callable[[], None]:
    """A function that logs what has happened since it was last called."""
    tail, progress = EventTail(events), Progress()
    log(f"{PROCESS_STARTUP} begins")

    def report() -> None:
        for line in filter(None, map(progress.line, tail.new_records())):
            log(line)

    return report
