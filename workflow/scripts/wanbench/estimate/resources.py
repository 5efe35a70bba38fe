"""What a case asks a scheduler for: GPUs, host memory and time.

Time is at most `timeout_s`, which ends a case wherever it runs: the estimate, which is made for slow GPUs; or twice the
time of the case's last good trace, with other settings changed by as much as the estimate. Once an attempt has run out
of time there is no other limit than `timeout_s`. To this come 5 minutes for what is before the measuring process and
after it: the supervisor ends the case without them, so that it leaves a trace before the scheduler ends its job.

Memory is 1.25 times the estimate; twice that once an attempt was killed.
"""

import math
from dataclasses import dataclass

from wanbench.cases.case import Case
from wanbench.cases.scale import as_sized
from wanbench.estimate.duration import estimated_duration_s
from wanbench.estimate.memory import estimated_host_bytes
from wanbench.registry.stages import KILLED, TIMEOUT

_RESERVE_S = 300
_STARTING_S = 120
_EARLIER_MARGIN = 2
_MEMORY_MARGIN = 1.25


@dataclass(frozen=True)
class Resources:
    """Number of GPUs, host memory in 1e6 bytes and time in minutes; and which attempt of a run they are for."""

    gpus: int
    mem_mb: int
    runtime_min: int
    attempt: int = 1

    @property
    def cpus(self) -> int:
        """Stock diffusers exports, moves and compiles on all cores that it may use; nodes often have as many a GPU."""
        return 8 * max(1, self.gpus)


# A run's second attempt measures nothing, but writes the trace of one that left none.
TO_RECORD_A_LOST_ATTEMPT = Resources(gpus=0, mem_mb=2000, runtime_min=10, attempt=2)


def resources_of(case: Case, earlier: tuple[Case, float] | None, last_failure: str | None) -> Resources:
    """What to ask for.

    Args:
        earlier: the last good attempt under this case's name, perhaps with other settings, and its seconds.
        last_failure: status of the last attempt that failed.
    """
    bytes_ = _MEMORY_MARGIN * estimated_host_bytes(as_sized(case)) * (2 if last_failure == KILLED else 1)
    time_s = min(case.timeout_s, math.inf if last_failure == TIMEOUT else _expected_s(case, earlier))
    return Resources(case.gpus, math.ceil(bytes_ / 1e6), math.ceil((time_s + _RESERVE_S) / 60))


def limit_s(runtime_min: float) -> float:
    """Seconds after which a case must be ended, whose job may take so many minutes."""
    given_s = 60 * runtime_min
    return max(given_s - _RESERVE_S, given_s / 2)


def _expected_s(case: Case, earlier: tuple[Case, float] | None) -> float:
    estimate_s = estimated_duration_s(as_sized(case))
    if earlier is None:
        return estimate_s
    before, duration_s = earlier
    change = estimate_s / estimated_duration_s(as_sized(before))
    # The estimates take several GPUs for one: fewer than before may take longer by as much, more need not be faster.
    change *= max(1.0, before.gpus / case.gpus)
    return _EARLIER_MARGIN * duration_s * change + _STARTING_S
