"""How an attempt ended, in one word and one sentence."""

import signal
from dataclasses import dataclass

from wanbench.trace.names import ERROR, KILLED, OK, OOM, TIMEOUT

# Exit codes that the measuring process chooses; 77 to 79 are not used by Python, shells or signals.
EXIT_OOM = 77
EXIT_ERROR = 78
EXIT_DISK_FULL = 79


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
    return TimeLimit(job_s, f"{job_s:g} s, as its job had no more time; {more}")


@dataclass(frozen=True)
class Outcome:
    """Status, and for any but `ok` a message and the type of the error where there was one."""

    status: str
    message: str | None = None
    error_type: str | None = None


def outcome_of(return_code: int, passed: TimeLimit | None, error: tuple[str, str] | None, finished: bool) -> Outcome:
    """Judge an ended measuring process.

    Args:
        return_code: as `subprocess` gives it; negative for a signal.
        passed: the limit, if the supervisor ended the process for it.
        error: type and message that the process reported.
        finished: whether the process reported that its last generation was complete. Whatever happened to it after
            that, the case ended well.
    """
    if finished:
        return Outcome(OK)
    if passed is not None:
        return Outcome(TIMEOUT, f"ended after {passed.reason}")
    if return_code < 0:
        name = signal.Signals(-return_code).name
        hint = "; the kernel's out-of-memory killer does this" if name == "SIGKILL" else ""
        return Outcome(KILLED, f"ended by signal {name}{hint}")
    if error is not None:
        return Outcome(OOM if return_code == EXIT_OOM else ERROR, error[1], error[0])
    if return_code == EXIT_DISK_FULL:
        return Outcome(ERROR, "the disk of results/work is full: what happened could not be written down", "OSError")
    return Outcome(ERROR, f"ended with exit code {return_code} and without a report")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that host or device memory ran out.

    torch raises its own class for CUDA; its CPU allocator raises a plain RuntimeError with a fixed text.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)
