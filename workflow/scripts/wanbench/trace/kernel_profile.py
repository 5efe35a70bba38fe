"""What torch's profiler recorded of a stage, as figures: times of kernels by class, gaps, and the longest kernels.

On a CPU there are no kernels; then it is of operators that no other calls.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from wanbench.registry.kernel_classes import KERNEL_CLASSES, class_of
from wanbench.util.intervals import total, union

SCHEMA_VERSION = 1
_start_us = itemgetter("ts")
_ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
_LAUNCHES = ("cuda_runtime", "cuda_driver")
_LONGEST = 10
# Names of templates run to thousands of characters.
_MOST_CHARACTERS = 120


@dataclass(frozen=True)
class Kernel:
    """One execution.

    Attributes:
        start_us, end_us: on the profiler's clock, in microseconds.
        stream: CUDA's, or the thread of an operator.
        shapes: of the operator's tensors, where the profiler knows the operator.
        module: path of the innermost module that called it; empty where that is not known.
    """

    name: str
    start_us: float
    end_us: float
    stream: int
    shapes: str = ""
    module: str = ""


def kernels_of(events: Sequence[Mapping[str, Any]]) -> tuple[list[Kernel], bool]:
    """The kernels of a Chrome trace that torch's profiler exported, by start; and whether they are a GPU's.

    Without any, the operators that no other calls.
    """
    complete = [event for event in events if event.get("ph") == "X"]
    operators = [event for event in complete if event.get("cat") == "cpu_op"]
    shapes = {_argument(event, "External id"): str(_argument(event, "Input Dims") or "") for event in operators}
    modules = defaultdict(list)
    for event in sorted((event for event in complete if event.get("cat") == "user_annotation"), key=_start_us):
        modules[event["tid"]].append(event)
    launched = {_argument(event, "correlation"): event for event in complete if event.get("cat") in _LAUNCHES}
    on_gpu = [event for event in complete if event.get("cat") in _ON_GPU]
    kernels = []
    for event in on_gpu or _outermost(operators):
        launch = launched.get(_argument(event, "correlation"), event if not on_gpu else None)
        kernels.append(
            Kernel(
                event["name"],
                event["ts"],
                event["ts"] + event["dur"],
                int(_argument(event, "stream") or 0) if on_gpu else event["tid"],
                shapes.get(_argument(event, "External id"), ""),
                _module_around(launch, modules[launch["tid"]]) if launch else "",
            )
        )
    return sorted(kernels, key=lambda kernel: kernel.start_us), bool(on_gpu)


def _argument(event: Mapping[str, Any], key: str) -> Any:
    return event.get("args", {}).get(key)


def _outermost(operators: list[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Operators that no other calls, of the thread that has most of them."""
    by_thread = defaultdict(list)
    for event in operators:
        by_thread[event["tid"]].append(event)
    until_us = float("-inf")
    for event in sorted(max(by_thread.values(), key=len, default=[]), key=lambda event: (event["ts"], -event["dur"])):
        if event["ts"] >= until_us:
            until_us = event["ts"] + event["dur"]
            yield event


def _module_around(launch: Mapping[str, Any], modules: list[Mapping[str, Any]]) -> str:
    """The innermost module at a launch: modules, sorted by start, are nested, so it is the last that began."""
    begun = modules[: bisect_right(modules, launch["ts"], key=_start_us)]
    return next((event["name"] for event in reversed(begun) if event["ts"] + event["dur"] >= launch["ts"]), "")


def stage_profile(
    kernels: Sequence[Kernel], profiled_s: float, unprofiled_s: float, flops: Mapping[str, int]
) -> dict[str, Any]:
    """Figures of a stage, as the file of a case holds them.

    Args:
        profiled_s: wall clock of the stage under the profiler, between two synchronisations.
        unprofiled_s: of the same without it.
        flops: operations of the stage by class of kernels, where they are known.
    """
    by_class: dict[str, list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        by_class[class_of(kernel.name)].append(kernel)
    busy = union((kernel.start_us, kernel.end_us) for kernel in kernels)
    busy_s, gaps_us = total(busy) / 1e6, [after - before for (_, before), (after, _) in zip(busy, busy[1:])]
    return {
        "profiled_s": profiled_s,
        "unprofiled_s": unprofiled_s,
        "busy_s": busy_s,
        "gap_s": sum(gaps_us) / 1e6,
        "gaps": len(gaps_us),
        "overlap_s": _time_s(kernels) - busy_s,
        "classes": [
            {"class": key, "time_s": _time_s(of_class), "count": len(of_class), "flops": flops.get(key)}
            for key in KERNEL_CLASSES
            if (of_class := by_class.get(key))
        ],
        "longest": _longest(kernels),
    }


def _time_s(kernels: Sequence[Kernel]) -> float:
    return sum(kernel.end_us - kernel.start_us for kernel in kernels) / 1e6


def _longest(kernels: Sequence[Kernel]) -> list[dict[str, Any]]:
    """Where most of the time goes, by name, shapes and module."""
    alike: dict[tuple[str, str, str], list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        alike[kernel.name[:_MOST_CHARACTERS], kernel.shapes, kernel.module].append(kernel)
    rows = [
        {"name": name, "class": class_of(of_it[0].name), "shapes": shapes, "module": module}
        | {"time_s": _time_s(of_it), "count": len(of_it)}
        for (name, shapes, module), of_it in alike.items()
    ]
    return sorted(rows, key=lambda row: -row["time_s"])[:_LONGEST]


def perfetto_events(kernels: Sequence[Kernel], on_gpu: bool) -> list[dict[str, Any]]:
    """A track for each stream, as Chrome trace events; times from the first kernel on, in microseconds."""
    origin_us = kernels[0].start_us if kernels else 0.0
    what = "kernels of stream" if on_gpu else "operators of thread"
    names = [
        {"ph": "M", "pid": 1, "tid": track, "name": "thread_name", "args": {"name": f"{what} {track}"}}
        for track in sorted({kernel.stream for kernel in kernels})
    ]
    return names + [
        {"ph": "X", "pid": 1, "tid": kernel.stream, "name": kernel.name[:_MOST_CHARACTERS]}
        | {"cat": class_of(kernel.name), "ts": round(kernel.start_us - origin_us, 2)}
        | {"dur": round(kernel.end_us - kernel.start_us, 2)}
        for kernel in kernels
    ]
