"""What torch's profiler recorded of a stage, as figures: times of kernels by class, gaps, and the longest kernels.

On a CPU there are no kernels; then it is of operators that no other calls.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.registry.kernel_classes import KERNEL_CLASSES, class_of

SCHEMA_VERSION = 1
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
    modules = _Modules([event for event in complete if event.get("cat") == "user_annotation"])
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
                modules.around(launch) if launch else "",
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


class _Modules:
    """Which module ran at a time on a thread: modules are nested, so the last that began is innermost."""

    def __init__(self, annotations: list[Mapping[str, Any]]) -> None:
        self._by_thread = defaultdict(list)
        for event in sorted(annotations, key=lambda event: event["ts"]):
            self._by_thread[event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"]))

    def around(self, launch: Mapping[str, Any]) -> str:
        spans = self._by_thread.get(launch["tid"], [])
        begun = spans[: bisect_right(spans, (launch["ts"], float("inf")))]
        return next((name for _, end_us, name in reversed(begun) if end_us >= launch["ts"]), "")


def stage_profile(
    kernels: Sequence[Kernel], profiled_s: float, unprofiled_s: float, flops: Mapping[str, int]
) -> dict[str, Any]:
    """Figures of a stage, as the file of a case holds them.

    Args:
        kernels: by start.
        profiled_s: wall clock of the stage under the profiler, between two synchronisations.
        unprofiled_s: of the same without it.
        flops: operations of the stage by class of kernels, where they are known.
    """
    by_class: dict[str, list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        by_class[class_of(kernel.name)].append(kernel)
    busy_us, gaps = _union_us(kernels)
    return {
        "profiled_s": profiled_s,
        "unprofiled_s": unprofiled_s,
        "busy_s": busy_us / 1e6,
        "gap_s": sum(gaps) / 1e6,
        "gaps": len(gaps),
        "overlap_s": _time_s(kernels) - busy_us / 1e6,
        "classes": [
            {"class": key, "time_s": _time_s(of_class), "count": len(of_class), "flops": flops.get(key)}
            for key in KERNEL_CLASSES
            if (of_class := by_class.get(key))
        ],
        "longest": _longest(kernels),
    }


def _time_s(kernels: Sequence[Kernel]) -> float:
    return sum(kernel.end_us - kernel.start_us for kernel in kernels) / 1e6


def _union_us(kernels: Sequence[Kernel]) -> tuple[float, list[float]]:
    """Time in which any kernel ran, and the lengths of the gaps between, in microseconds."""
    busy_us, gaps, until_us = 0.0, [], None
    for kernel in kernels:
        if until_us is not None and kernel.start_us > until_us:
            gaps.append(kernel.start_us - until_us)
        begin_us = kernel.start_us if until_us is None else max(kernel.start_us, until_us)
        busy_us += max(0.0, kernel.end_us - begin_us)
        until_us = kernel.end_us if until_us is None else max(until_us, kernel.end_us)
    return busy_us, gaps


def _longest(kernels: Sequence[Kernel]) -> list[dict[str, Any]]:
    """Where most of the time goes, by name, shapes and module."""
    alike: dict[tuple[str, str, str], list[Kernel]] = defaultdict(list)
    for kernel in kernels:
        alike[kernel.name[:_MOST_CHARACTERS], kernel.shapes, kernel.module].append(kernel)
    longest = sorted(alike.items(), key=lambda item: -_time_s(item[1]))[:_LONGEST]
    return [
        {"name": name, "class": class_of(of_it[0].name), "shapes": shapes, "module": module}
        | {"time_s": _time_s(of_it), "count": len(of_it)}
        for (name, shapes, module), of_it in longest
    ]


def perfetto_events(kernels: Sequence[Kernel], on_gpu: bool) -> list[dict[str, Any]]:
    """A track for each stream, as Chrome trace events; times from the first kernel on, in microseconds."""
    origin_us = kernels[0].start_us if kernels else 0.0
    tracks = sorted({kernel.stream for kernel in kernels})
    names = [
        {"ph": "M", "pid": 1, "tid": track, "name": "thread_name"}
        | {"args": {"name": f"{'kernels of stream' if on_gpu else 'operators of thread'} {track}"}}
        for track in tracks
    ]
    return names + [
        {"ph": "X", "pid": 1, "tid": kernel.stream, "name": kernel.name[:_MOST_CHARACTERS]}
        | {"cat": class_of(kernel.name), "ts": round(kernel.start_us - origin_us, 2)}
        | {"dur": round(kernel.end_us - kernel.start_us, 2)}
        for kernel in kernels
    ]
