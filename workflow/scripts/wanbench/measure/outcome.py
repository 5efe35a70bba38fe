"""How an attempt ended, in one word and one sentence."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wanbench.registry.stages import ERROR, KILLED, OK, OOM, TIMEOUT

# Exit codes that the processes of a case choose; 78 and 79 are not used by Python, shells or signals.
EXIT_ERROR = 78
EXIT_DISK_FULL = 79


@dataclass(frozen=True)
class ReportedError:
    """The error that a process of the case wrote down before it ended, and when: monotonic, in nanoseconds."""

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


@dataclass(frozen=True)
class RankEnd:
    """How a process of the case ended.

    Attributes:
        rank: 0 is the one that is measured.
        return_code: as `subprocess` gives it, negative for a signal; None if it had to be ended, or lived on.
        error: what it wrote down.
    """

    rank: int
    return_code: int | None
    error: ReportedError | None


def reported_outcome(error: ReportedError | None, finished: bool) -> Outcome | None:
    """How an attempt ended by what its measured process wrote down; None where it wrote nothing about that.

    Args:
        finished: whether its last generation was complete. What comes after that is no part of the case.
    """
    if finished:
        return Outcome(OK)
    if error is not None:
        return Outcome(OOM if error.out_of_memory else ERROR, error.message, error.type_name)
    return None


def outcome_of(
    ends: Sequence[RankEnd], passed: TimeLimit | None, finished: bool, memory_bytes: int | None = None
) -> Outcome:
    """Judge the ended processes of a case.

    Args:
        ends: of all ranks, in their order.
        passed: the limit, if they were ended for it.
        finished: see `reported_outcome`.
        memory_bytes: the limit of memory for which the kernel ended processes meanwhile.
    """
    end = ends[0] if finished or passed else _cause(ends)
    outcome = _outcome_of(end.return_code or 0, passed, end.error, finished)
    if outcome.status == KILLED and end.return_code == -signal.SIGKILL and memory_bytes is not None:
        size = f"{memory_bytes / 1e9:.1f} GB"
        outcome = Outcome(KILLED, f"ended by signal SIGKILL: the memory of its container or job ran out, {size}")
    return outcome if end.rank == 0 else replace(outcome, message=f"rank {end.rank}: {outcome.message}")


def _cause(ends: Sequence[RankEnd]) -> RankEnd:
    """The end that brought about the others: a rank that loses another fails, or is aborted by torch."""
    reported = sorted((end for end in ends if end.error is not None), key=lambda end: end.error.time_ns)
    silent = [end for end in ends if end.error is None and end.return_code]
    likeliest = [
        *(end for end in reported if end.error.out_of_memory),
        *(end for end in silent if end.return_code != -signal.SIGABRT),
        *reported,
        *silent,
    ]
    return likeliest[0] if likeliest else ends[0]


def _outcome_of(code: int, passed: TimeLimit | None, error: ReportedError | None, finished: bool) -> Outcome:
    reported = reported_outcome(error, finished)
    if reported is not None:
        return reported
    if passed is not None:
        return Outcome(TIMEOUT, f"ended after {passed.reason}")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = "; the kernel's out-of-memory killer does this" if name == "SIGKILL" else ""
        return Outcome(KILLED, f"ended by signal {name}{hint}")
    if code == EXIT_DISK_FULL:
        message = "the disk of results/attempts is full: what happened could not be written down"
        return Outcome(ERROR, message, "OSError")
    return Outcome(ERROR, f"ended with exit code {code} and without a report")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that host or device memory ran out.

    torch raises its own class for CUDA; its CPU allocator raises a plain RuntimeError with a fixed text, and so do
    cuBLAS and cuDNN where they get no memory of their own (CUBLAS_STATUS_ALLOC_FAILED in cuBLAS's documentation).
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    signs = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
