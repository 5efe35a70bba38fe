"""How an attempt ended, in one word and one sentence."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from wanbench.registry.stages import ERROR, KILLED, OK, OOM, TIMEOUT

# Exit code of a process of a case that could not write down its error; not used by Python, shells or signals.
EXIT_DISK_FULL = 79

# What a process of the case wrote down of its error: `type`, `message`, `out_of_memory`, and when, `time_ns`.
ErrorRecord = Mapping[str, Any]


class TimeLimit(NamedTuple):
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


def reported_outcome(error: ErrorRecord | None, finished: bool) -> Outcome | None:
    """How an attempt ended by what its measured process wrote down; None where it wrote nothing about that.

    Args:
        finished: whether its last generation was complete. What comes after that is no part of the case.
    """
    if finished:
        return Outcome(OK)
    return error and Outcome(OOM if error["out_of_memory"] else ERROR, error["message"], error["type"])


def outcome_of(
    codes: Sequence[int | None],
    errors: Sequence[ErrorRecord | None],
    passed: TimeLimit | None,
    finished: bool,
    memory_bytes: int | None = None,
) -> Outcome:
    """Judge the ended processes of a case.

    Args:
        codes: of each rank, as `subprocess` gives it, negative for a signal; None if it had to be ended, or lived on.
        passed: the limit, if they were ended for it.
        memory_bytes: the limit of memory for which the kernel ended processes meanwhile.
    """
    rank = 0 if finished or passed else _cause(codes, errors)
    outcome = reported_outcome(errors[rank], finished) or _unreported(codes[rank] or 0, passed, memory_bytes)
    return outcome if rank == 0 else replace(outcome, message=f"rank {rank}: {outcome.message}")


def _cause(codes: Sequence[int | None], errors: Sequence[ErrorRecord | None]) -> int:
    """The rank that brought about the others' end: one that loses another fails, or is aborted by torch."""
    reported = sorted((rank for rank, error in enumerate(errors) if error), key=lambda rank: errors[rank]["time_ns"])
    silent = [rank for rank, code in enumerate(codes) if code and not errors[rank]]
    likeliest = [
        *(rank for rank in reported if errors[rank]["out_of_memory"]),
        *(rank for rank in silent if codes[rank] != -signal.SIGABRT),
        *reported,
        *silent,
        0,
    ]
    return likeliest[0]


def _unreported(code: int, passed: TimeLimit | None, memory_bytes: int | None) -> Outcome:
    if passed is not None:
        return Outcome(TIMEOUT, f"ended after {passed.reason}")
    if code == -signal.SIGKILL and memory_bytes is not None:
        size = f"{memory_bytes / 1e9:.1f} GB"
        return Outcome(KILLED, f"ended by signal SIGKILL: the memory of its container or job ran out, {size}")
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
