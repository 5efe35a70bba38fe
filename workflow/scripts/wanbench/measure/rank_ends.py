"""How a case ended that ran in several processes: which of them failed first, and what that says."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wanbench.measure.outcome import Outcome, ReportedError, TimeLimit, outcome_of


@dataclass(frozen=True)
class RankEnd:
    """How a process of the case ended.

    Attributes:
        rank: 0 is the one that is measured.
        return_code: as `subprocess` gives it; None if it had to be ended because of another, or lived on.
        error: what it told.
    """

    rank: int
    return_code: int | None
    error: ReportedError | None


def outcome_of_ranks(ends: Sequence[RankEnd], passed: TimeLimit | None, finished: bool) -> Outcome:
    """Judge the ended processes of a case; of one that ran in a single process, as `outcome_of`.

    Args:
        ends: of all ranks, in their order.
        passed: the limit, if they were ended for it.
        finished: whether rank 0 told that its last generation was complete.
    """
    end = ends[0] if finished or passed else _cause(ends)
    outcome = outcome_of(end.return_code or 0, passed, end.error, finished)
    return outcome if end.rank == 0 else replace(outcome, message=f"rank {end.rank}: {outcome.message}")


def _cause(ends: Sequence[RankEnd]) -> RankEnd:
    """The end that brought about the others: a rank that loses another fails, or is aborted by torch."""
    told = sorted((end for end in ends if end.error is not None), key=lambda end: end.error.time_ns)
    silent = [end for end in ends if end.error is None and end.return_code]
    likeliest = [
        *(end for end in told if end.error.out_of_memory),
        *(end for end in silent if end.return_code != -signal.SIGABRT),
        *told,
        *silent,
    ]
    return likeliest[0] if likeliest else ends[0]
