"""What each case of a grid will need, and how long all may take one after the other: estimates, made beforehand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wanbench.cases.case import Case
from wanbench.duration import estimated_duration_s
from wanbench.memory import estimated_host_bytes, estimated_peak_bytes

_HEADINGS = ("Case", "GPUs", "GPU memory", "Host memory", "Time")
_NOTES = """\
Estimates from the settings alone, on whatever GPU, as if nothing of the grid was measured yet. Time is an upper one:
5 to 14 times what the cases took that are kept in results/reference, and never more than a case's timeout_s; the
download of a checkpoint is not in it. GPU memory is what torch allocates on each GPU; its reserve and CUDA need some
gigabytes more. Host memory is 1.04 to 3.3 times what those cases used. n/a: no estimate."""


@dataclass(frozen=True)
class Needs:
    """What a case needs: memory of each GPU (None without an estimate) and of the host, and time at most."""

    name: str
    gpus: int
    gpu_bytes: int | None
    host_bytes: int
    time_s: float


def needs_of(case: Case) -> Needs:
    time_s = min(case.timeout_s, estimated_duration_s(case))
    return Needs(case.name, case.gpus, estimated_peak_bytes(case), estimated_host_bytes(case), time_s)


def plan_text(needs: Sequence[Needs]) -> str:
    """A table of all cases with the sum of their times, and what its figures are."""
    rows = [_HEADINGS]
    rows += [
        (each.name, str(each.gpus), _memory_text(each.gpu_bytes), _memory_text(each.host_bytes), time_text(each.time_s))
        for each in needs
    ]
    rows.append(("Sum", "", "", "", time_text(sum(each.time_s for each in needs))))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    return "\n".join([*lines, "", _NOTES, ""])


def time_text(seconds: float) -> str:
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def _memory_text(size_bytes: int | None) -> str:
    return "n/a" if size_bytes is None else f"{size_bytes / 1e9:.1f} GB"
