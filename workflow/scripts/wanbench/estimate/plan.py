"""What each case of a grid will need, and how long all may take one after the other: estimates, made beforehand."""

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wanbench.cases.case import Case
from wanbench.cases.messages import a_few
from wanbench.cases.scale import as_sized, is_full_scale
from wanbench.estimate.duration import estimated_duration_s
from wanbench.estimate.machine import Machine
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.util.text import one_line

_HEADINGS = ("Case", "GPUs", "GPU memory", "Host memory", "Time")
_WIDTH = 118
_ANY_SCALE = (
    "Estimates from the settings alone, on whatever GPU, as if nothing of the grid was measured yet. Time is never "
    "more than a case's timeout_s."
)
_FULL_SCALE = (
    "Time is an upper one: 5 to 14 times what the cases took that are kept in results/reference, and up to 24 times "
    "with a cache or on several GPUs; the download of a checkpoint is not in it. GPU memory is what torch allocates on "
    "each GPU; its reserve and CUDA need some gigabytes more. Host memory is 1.04 to 3 times what those cases used."
)
_TINY_SCALE = (
    "At tiny scale time is a flat allowance, 2 minutes to start and 5 more to compile, whatever a case computes; host "
    "memory is 6 GB and the decoded video twice for each of a case's processes, and 10 GB more to compile."
)
_NO_ESTIMATE = "n/a: no estimate."


@dataclass(frozen=True)
class Needs:
    """What a case needs: memory of each GPU (None without an estimate) and of the host, and time at most.

    Attributes:
        full_scale: it cannot do without a GPU. Else its time is a flat allowance, whatever it computes.
    """

    name: str
    gpus: int
    gpu_bytes: int | None
    host_bytes: int
    time_s: float
    full_scale: bool


def needs_of(case: Case) -> Needs:
    sized = as_sized(case)
    time_s = min(case.timeout_s, estimated_duration_s(sized))
    memory = estimated_peak_bytes(sized), estimated_host_bytes(sized)
    return Needs(case.name, case.gpus, *memory, time_s, is_full_scale(case))


def plan_text(needs: Sequence[Needs], machine: Machine) -> str:
    """A table of all cases with the sum of their times, what its figures are, and what the machine has of it."""
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
    return "\n".join([*lines, "", textwrap.fill(_notes(needs), _WIDTH), "", *_of_machine(needs, machine), ""])


def _notes(needs: Sequence[Needs]) -> str:
    full_scale = {each.full_scale for each in needs}
    unknown = any(each.gpu_bytes is None for each in needs)
    notes = {_ANY_SCALE: True, _FULL_SCALE: True in full_scale, _TINY_SCALE: False in full_scale, _NO_ESTIMATE: unknown}
    return " ".join(note for note, holds in notes.items() if holds)


def _of_machine(needs: Sequence[Needs], machine: Machine) -> list[str]:
    """Lines that say what the machine has, and which cases need more."""
    too_few = "Needs more GPUs" if machine.gpus else "Needs a GPU"
    lacking = {
        too_few: [each.name for each in needs if _has_too_few(each, machine)],
        "Needs more GPU memory": [each.name for each in needs if _has_too_small(each, machine)],
        "May need more host memory": [each.name for each in needs if each.host_bytes > machine.host_bytes],
    }
    lines = [
        "What the machine has where plan was run (of another, such as a cluster's nodes, this says nothing):",
        f"GPUs that may be used: {_gpus_text(machine)}",
        f"Host memory: {_memory_text(machine.host_bytes)}",
        *(
            f"{what}: {len(names)} {'case' if len(names) == 1 else 'cases'}: {a_few(names)}"
            for what, names in lacking.items()
            if names
        ),
    ]
    if not any(lacking.values()):
        lines.append("No case needs more than that, as far as it is known and estimated.")
    return [line for long in lines for line in textwrap.wrap(long, _WIDTH, break_on_hyphens=False)]


def _has_too_few(needs: Needs, machine: Machine) -> bool:
    if machine.gpus is None:
        return False
    # On a CPU, as many processes share it.
    return needs.gpus > len(machine.gpus) if machine.gpus else needs.full_scale


def _has_too_small(needs: Needs, machine: Machine) -> bool:
    if not machine.gpus or needs.gpu_bytes is None or needs.gpus > len(machine.gpus):
        return False
    largest_first = sorted((gpu.mem_total_bytes for gpu in machine.gpus), reverse=True)
    return needs.gpu_bytes > largest_first[needs.gpus - 1]


def _gpus_text(machine: Machine) -> str:
    if machine.gpus is None:
        return f"not known, since {one_line(machine.no_answer)}"
    kinds = Counter(machine.gpus).items()
    texts = [f"{count} x {one_line(gpu.name)}, {_memory_text(gpu.mem_total_bytes)}" for gpu, count in kinds]
    return "; ".join(texts) or "none that NVML knows of"


def time_text(seconds: float) -> str:
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def _memory_text(size_bytes: int | None) -> str:
    return "n/a" if size_bytes is None else f"{size_bytes / 1e9:.1f} GB"
