"""How an attempt ended, in one word and one sentence."""

import signal
from dataclasses import dataclass

from wanbench.registry.stages import ERROR, KILLED, OK, OOM, TIMEOUT

# Exit codes that the measuring process chooses; 78 and 79 are not used by Python, shells or signals.
EXIT_ERROR = 78
EXIT_DISK_FULL = 79


@dataclass(frozen=True)
class ReportedError:
    """What the measuring process told of the error that ended it, and when: monotonic, in nanoseconds."""

    type_name: str
    message: str
    out_of_memory: bool
    time_ns: int


@dataclass(frozen=True)
class TimeLimit:
    """Seconds after which a case is ended, and why then."""

    time_s: float
    reason: str


def time_limit(timeout_s: float, job_s: float | None) -> TimeLimit:
    """The case's own limit, or the one of its job where that comes first; None for a job without a limit."""
    if job_s is None or timeout_s <= job_s:
        return TimeLimit(timeout_s, f"timeout_s = {timeout_s:g} s")
    more = f"timeout_s = {timeout_s:g} s allows more, and the next run asks for that"
    return TimeLimit(job_s, f"{job_s:.0f} s, as its job had no more time; {more}")


@dataclass(frozen=True)
class Outcome:
    """Status, and for any but `ok` a message and the type of the error where there was one."""

    status: str
    message: str | None = None
    error_type: str | None = None


def reported_outcome(error: ReportedError | None, finished: bool) -> Outcome | None:
    """How a measuring process ended by what it told; None where it told nothing.

    Args:
        finished: whether it told that its last generation was complete. What comes after that is no part of the case.
    """
    if finished:
        return Outcome(OK)
    if error is not None:
        return Outcome(OOM if error.out_of_memory else ERROR, error.message, error.type_name)
    return None


def outcome_of(return_code: int, passed: TimeLimit | None, error: ReportedError | None, finished: bool) -> Outcome:
    """Judge an ended measuring process.

    Args:
        return_code: as `subprocess` gives it; negative for a signal.
        passed: the limit, if the supervisor ended the process for it.
        error, finished: see `reported_outcome`.
    """
    reported = reported_outcome(error, finished)
    if reported is not None:
        return reported
    if passed is not None:
        return Outcome(TIMEOUT, f"ended after {passed.reason}")
    if return_code < 0:
        number = -return_code
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        hint = "; the kernel's out-of-memory killer does this" if name == "SIGKILL" else ""
        return Outcome(KILLED, f"ended by signal {name}{hint}")
    if return_code == EXIT_DISK_FULL:
        return Outcome(
            ERROR, "the disk of results/attempts is full: what happened could not be written down", "OSError"
        )
    return Outcome(ERROR, f"ended with exit code {return_code} and without a report")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that host or device memory ran out.

    torch raises its own class for CUDA; its CPU allocator raises a plain RuntimeError with a fixed text, and so do
    cuBLAS and cuDNN where they get no memory of their own (CUBLAS_STATUS_ALLOC_FAILED in cuBLAS's documentation).
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in text for sign in ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
    )
