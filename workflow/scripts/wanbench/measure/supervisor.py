"""Run one attempt at a case in a process of its own, and leave a trace of it whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from wanbench.cases.case import Case
from wanbench.errors import InputError
from wanbench.measure.assemble import Attempt, assemble
from wanbench.measure.environment import git_state
from wanbench.measure.event_log import EventTail
from wanbench.measure.failures import last_failed_trace, record_outcome
from wanbench.measure.gpu_slots import Slot, own_slot
from wanbench.measure.gpus import Gpu, usable_gpus
from wanbench.measure.job import Job
from wanbench.measure.latch_delay import placed_by_load
from wanbench.measure.log_pipe import log_pipe
from wanbench.measure.outcome import Outcome, TimeLimit, outcome_of, time_limit
from wanbench.measure.progress import Progress, starting
from wanbench.measure.samples import read_samples
from wanbench.measure.spans import Recording, read_records
from wanbench.memory import estimated_peak_bytes
from wanbench.redact import redacted_message
from wanbench.text import visible
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_trace

# A little less than the period of GPM's latches: see `wanbench.measure.telemetry.gpm`.
SAMPLING_INTERVAL_S = 0.095
# A trace takes up to some megabytes, a video some tens.
_MIN_FREE_BYTES = 100_000_000
_POLL_S = 0.2
_SAMPLER_ENDS_WITHIN_S = 5.0
_PACKAGE_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Places:
    """Where an attempt writes.

    Attributes:
        trace: the trace, written whole at the end.
        log: everything that the measuring process prints, and the progress lines.
        video: the generated video.
        work: folder of this attempt alone, removed at its end.
        results: folder that keeps failures, and last traces.
    """

    trace: Path
    log: Path
    video: Path
    work: Path
    results: Path

    @classmethod
    def of_case(cls, name: str, trace: Path, log: Path) -> "Places":
        """Where a run of the grid writes; `trace` is in a folder of its results."""
        results = trace.parents[1]
        return cls(trace, log, results / "videos" / f"{name}.mp4", results / "work" / name, results)

    @property
    def job(self) -> Path:
        return self.work / "job.json"

    @property
    def events(self) -> Path:
        return self.work / "events.jsonl"

    @property
    def samples(self) -> Path:
        return self.work / "samples.jsonl"

    @property
    def second_log(self) -> Path:
        """Another name of the log, since Snakemake removes the log itself before it tries a case again."""
        return self.work / "log"

    @property
    def refusal(self) -> Path:
        """Why the attempt was refused, where it was."""
        return self.work / "refusal"


def supervise(
    case: Case,
    places: Places,
    digests: dict[str, str],
    limits: Limits,
    conda_env: str | None,
    job_limit_s: float | None = None,
) -> Outcome:
    """Wait for a GPU that no other case has, measure a case on it, and write its trace, with a verdict by these limits.

    An interruption (Ctrl-C, SIGTERM) ends the measuring process and is raised on, without a trace; what it leaves is
    for `record_lost_attempt`.

    Args:
        conda_env: name of the conda environment that this process runs in, None without conda.
        job_limit_s: time after which a scheduler would soon end the job that this runs in, in seconds.

    Raises:
        InputError: there can be no locks that keep other cases off the GPU, or the disk is nearly full.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Nothing of an earlier attempt may be taken for what this one leaves.
    shutil.rmtree(places.work, ignore_errors=True)
    last_failed_trace(places.results, case.name).unlink(missing_ok=True)
    places.video.unlink(missing_ok=True)
    places.work.mkdir(parents=True)
    with places.log.open("a", encoding="utf-8") as log:
        # Some file systems have no hard links; that costs a lost attempt its log, and no more.
        with suppress(OSError):
            os.link(places.log, places.second_log)

        def tell(line: str) -> None:
            say(log, f"[{case.name}] {line}")

        limit = time_limit(case.timeout_s, job_limit_s)
        try:
            _check_space(places.results)
            with own_slot(usable_gpus(os.environ), 1, tell) as slot:
                outcome = _attempt(case, places, digests, limits, conda_env, slot, log, limit)
        except InputError as error:
            places.refusal.write_text(redacted_message(str(error)), "utf-8")
            tell(places.refusal.read_text("utf-8"))
            raise
        tell(f"{outcome.status}{f': {outcome.message}' if outcome.message else ''}")
    return outcome


def _check_space(results: Path) -> None:
    free_bytes = shutil.disk_usage(results).free
    if free_bytes < _MIN_FREE_BYTES:
        raise InputError(
            f"{results}: {free_bytes / 1e6:.0f} MB are free on its disk; needed: {_MIN_FREE_BYTES / 1e6:.0f} MB"
        )


def _attempt(
    case: Case,
    places: Places,
    digests: dict[str, str],
    limits: Limits,
    conda_env: str | None,
    slot: Slot,
    log: IO[str],
    limit: TimeLimit,
) -> Outcome:
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    job = Job(case, slot.uuids, places.events, places.video, time.monotonic_ns(), conda_env, started_at)
    places.job.write_text(job.to_json(), "utf-8")
    variables = slot.environment() | _compiles_anew(places.work)
    with (
        _process("wanbench.measure.child", [places.job], places.log, variables, slot.locks) as child,
        _process(
            "wanbench.measure.telemetry.sampler",
            [places.samples, child.pid, SAMPLING_INTERVAL_S, *slot.uuids],
            places.log,
            {},
        ) as sampler,
    ):
        warning = _will_not_fit(case, slot.gpus)
        if warning is not None:
            say(log, warning)
        passed = _wait(child, limit, _reporter(case, places.events, log))
        ended_ns = time.monotonic_ns()
        sampler.terminate()
        # One that hangs in the driver is killed on leaving the block; what it wrote is used all the same.
        with suppress(subprocess.TimeoutExpired):
            sampler.wait(_SAMPLER_ENDS_WITHIN_S)
    recording = read_records(EventTail(places.events).new_records())
    error = recording.error and (recording.error[0], redacted_message(recording.error[1]))
    outcome = outcome_of(child.returncode, passed, error, recording.result is not None)
    conclude(job, ended_ns, places, digests, limits, recording, outcome)
    return outcome


def conclude(
    job: Job,
    ended_ns: int,
    places: Places,
    digests: dict[str, str],
    limits: Limits,
    recording: Recording,
    outcome: Outcome,
) -> None:
    """Write the trace of an attempt that is over, and remove the folder that it worked in.

    Args:
        ended_ns: monotonic time of its end, in nanoseconds.
        digests: what it was measured with.
        limits: what it is judged by.
        recording: what its measuring process wrote.
    """
    case = job.case
    sampled = placed_by_load(
        read_samples(EventTail(places.samples).new_records(), SAMPLING_INTERVAL_S), recording.matmul_times
    )
    git = git_state(_PACKAGE_ROOT.parents[1])
    attempt = Attempt(case.settings(), digests, job.spawned_ns, ended_ns, job.started_at, git, limits)
    write_trace(places.trace, assemble(attempt, recording, sampled, outcome))
    record_outcome(places.results, case.name, outcome, places.trace)
    shutil.rmtree(places.work, ignore_errors=True)


@contextmanager
def _process(
    module: str, arguments: list[object], log: Path, variables: dict[str, str], inherited: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process in a session of its own; it and what it started are gone after the block."""
    python_path = os.pathsep.join([str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"} | variables
    # Snakemake sets these to the rule's threads. Stock diffusers uses all cores that it may, and so must we.
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(_usable_cores()))
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


def _usable_cores() -> int:
    """Logical cores that this process may run on, which a scheduler can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _will_not_fit(case: Case, gpus: list[Gpu]) -> str | None:
    """A warning, and no more: an estimate can be wrong, and out of memory is a result."""
    needed_bytes = estimated_peak_bytes(case)
    if needed_bytes is None or not gpus or needed_bytes <= gpus[0].mem_total_bytes:
        return None
    return (
        f"[{case.name}] warning: will probably not fit: about {needed_bytes / 1e9:.1f} GB are needed, "
        f"and this GPU has {gpus[0].mem_total_bytes / 1e9:.1f} GB"
    )


def _compiles_anew(work: Path) -> dict[str, str]:
    """Environment in which torch finds nothing that an earlier case has compiled: each case pays for its own."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(work.absolute() / "compiled")}


def _wait(child: subprocess.Popen[bytes], limit: TimeLimit, report: Callable[[], None]) -> TimeLimit | None:
    """Wait for the end of the child; the limit if the child had to be ended for it."""
    deadline_s = time.monotonic() + limit.time_s
    while True:
        try:
            child.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            report()
            if time.monotonic() < deadline_s:
                continue
            _kill_group(child)
            child.wait()
            report()
            return limit
        report()
        return None


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


def say(log: IO[str], line: str) -> None:
    """Tell whoever watches the terminal, and the log."""
    line = visible(line)
    # In one piece: cases side by side share the terminal, and `print` writes the end of the line apart.
    sys.stderr.write(f"{line}\n")
    # A full disk costs lines of the log, and no case for that. Not through the buffer, which would try again later.
    with suppress(OSError):
        os.write(log.fileno(), f"{datetime.now():%H:%M:%S} {line}\n".encode())
