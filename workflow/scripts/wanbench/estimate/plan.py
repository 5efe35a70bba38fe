"""What each case of a grid will need, and how long all may take one after the other: estimates, made beforehand."""

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wanbench.cases.case import Case
from wanbench.cases.messages import a_few
from wanbench.cases.scale import as_sized, is_full_scale, is_published
from wanbench.estimate.duration import estimated_duration_s
from wanbench.estimate.expected import Expected
from wanbench.estimate.machine import Machine
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.util.text import one_line

_HEADINGS = ("Case", "GPUs", "GPU memory", "Host memory", "Expected", "At most", "Expected from")
_WIDTH = 118
_NOTES = (
    "Expected is the time of an earlier trace of the case, else of a kept case with its settings on this kind of GPU "
    "(they foretell each other within 30 %), else predicted from the GPU's datasheet (docs/prediction.md; half of the "
    "kept cases within 12 %). At most is what a job asks a cluster for, from the settings alone, on whatever GPU, and "
    "never more than a case's timeout_s: 4.6 to 14 times what the cases took that are kept in results/reference, and "
    "up to 24 times with a cache or on several GPUs. The download of a checkpoint is not in it. At tiny scale it is a "
    "flat allowance, 2 minutes to start and 5 more to compile. GPU memory is what torch allocates on each GPU; its "
    "reserve and CUDA need some gigabytes more. Host memory is 1.04 to 3.9 times what those cases used. n/a: no "
    "estimate."
)


@dataclass(frozen=True)
class Needs:
    """What a case needs: memory of each GPU (None without an estimate) and of the host, and time at most.

    Attributes:
        full_scale: it cannot do without a GPU.
        expected: time from what was measured before; None where nothing like it was.
        download_of: the hub id that its weights come from; None for none.
    """

    name: str
    gpus: int
    gpu_bytes: int | None
    host_bytes: int
    time_s: float
    full_scale: bool
    expected: Expected | None = None
    download_of: str | None = None


def needs_of(case: Case, expected: Expected | None = None) -> Needs:
    sized = as_sized(case)
    time_s = min(case.timeout_s, estimated_duration_s(sized))
    memory = estimated_peak_bytes(sized), estimated_host_bytes(sized)
    download_of = case.checkpoint if case.checkpoint and is_published(case.checkpoint) else None
    return Needs(case.name, case.gpus, *memory, time_s, is_full_scale(case), expected, download_of)


def plan_text(needs: Sequence[Needs], machine: Machine) -> str:
    """A table of all cases, what its figures are, and what the machine has of it."""
    paragraphs = [_NOTES, "", *_of_machine(needs, machine), ""]
    wrapped = [textwrap.fill(paragraph, _WIDTH, break_on_hyphens=False) for paragraph in paragraphs]
    return "\n".join([*_table(needs), "", *wrapped])


def _table(needs: Sequence[Needs]) -> list[str]:
    rows = [_HEADINGS]
    for each in needs:
        found = each.expected
        expected, source = (time_text(found.time_s), found.source) if found else ("n/a", "nothing measured")
        memory = _memory_text(each.gpu_bytes), _memory_text(each.host_bytes)
        rows.append((each.name, str(each.gpus), *memory, expected, time_text(each.time_s), source))
    known_s = [each.expected.time_s for each in needs if each.expected]
    expected = time_text(sum(known_s)) if known_s else "n/a"
    of = f"expected of {len(known_s)} of {len(needs)} cases" if 0 < len(known_s) < len(needs) else ""
    rows.append(("Sum", "", "", "", expected, time_text(sum(each.time_s for each in needs)), of))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join([first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:-1]), last]).rstrip()
        for first, *numbers, last in rows
    ]


def _of_machine(needs: Sequence[Needs], machine: Machine) -> list[str]:
    """Lines that say what the machine has, and which cases need more."""
    lines = [
        "What the machine has where plan was run (of another, such as a cluster's nodes, this says nothing):",
        f"GPUs that may be used: {_gpus_text(machine)}",
        f"Host memory: {_memory_text(machine.host_bytes)}",
        f"Free disk: {_memory_text(machine.free_disk_bytes)}; a case writes up to 0.1 GB (video, trace, pictures)",
    ]
    if wanted := sorted({each.download_of for each in needs if each.download_of}):
        sizes = "about 34 GB for TI2V-5B, 126 GB for each A14B"
        lines.append(f"To download, unless it is in Hugging Face's cache: {', '.join(wanted)} ({sizes})")
    lacking = {
        "Needs more GPUs" if machine.gpus else "Needs a GPU": [n.name for n in needs if _has_too_few(n, machine)],
        "Needs more GPU memory": [each.name for each in needs if _has_too_small(each, machine)],
        "May need more host memory": [each.name for each in needs if each.host_bytes > machine.host_bytes],
    }
    for what, names in lacking.items():
        if names:
            lines.append(f"{what}: {len(names)} {'case' if len(names) == 1 else 'cases'}: {a_few(names)}")
    if not any(lacking.values()):
        lines.append("No case needs more than that, as far as it is known and estimated.")
    return lines


def _has_too_few(needs: Needs, machine: Machine) -> bool:
    if machine.gpus is None:
        return False
    # On a CPU, as many processes share it.
    return needs.gpus > len(machine.gpus) if machine.gpus else needs.full_scale


def _has_too_small(needs: Needs, machine: Machine) -> bool:
    sizes = [gpu.mem_total_bytes for gpu in machine.gpus or ()]
    if None in sizes or needs.gpu_bytes is None or needs.gpus > len(sizes):
        return False
    return needs.gpu_bytes > sorted(sizes, reverse=True)[needs.gpus - 1]


def _gpus_text(machine: Machine) -> str:
    if machine.gpus is None:
        return f"not known, since {one_line(machine.no_answer)}"
    not_told = "memory not told by NVML, as where it is the host's"
    kinds = Counter((gpu.name, gpu.mem_total_bytes) for gpu in machine.gpus).items()
    texts = [f"{n} x {one_line(name)}, {_memory_text(size) if size else not_told}" for (name, size), n in kinds]
    reason = f" ({one_line(machine.no_answer)})" if machine.no_answer else ""
    return ("; ".join(texts) or "none that NVML knows of") + reason


def time_text(seconds: float) -> str:
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def _memory_text(size_bytes: int | None) -> str:
    return "n/a" if size_bytes is None else f"{size_bytes / 1e9:.1f} GB"
