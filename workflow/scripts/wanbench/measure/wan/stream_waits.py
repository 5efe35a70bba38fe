"""How long the GPU's computing waited for weights that a stream of their own brings (group offloading with streams).

    compute stream   ...kernels of group i |  waits  | kernels of group i+1
                                           ready     |
    copy stream      ......... weights of group i+1 .|
                                                     copied

Copies run beside the computing, and the host waits for both, so neither the copies' own time nor the host's says what
loading costs. Two CUDA events do: the instant at which the compute stream has nothing left to do before a group's
computing (`ready`), and the instant at which the group's weights have arrived (`copied`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from diffusers.hooks.group_offloading import GroupOffloadingHook, ModuleGroup

from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.patching import patching

# Events tell the order of two streams to about this time.
_RESOLUTION_NS = 1_000


class TimedEvent(Protocol):
    """What is used of `torch.cuda.Event`."""

    def record(self, stream: Any = None) -> None: ...

    def elapsed_time(self, later: "TimedEvent") -> float:
        """Milliseconds from this event to `later`; negative if that came first."""
        ...


def cuda_event() -> TimedEvent:
    return torch.cuda.Event(enable_timing=True)


@dataclass
class _Waits:
    """Events since the last border, and those that can be used again."""

    new_event: Callable[[], TimedEvent]
    pending: list[tuple[TimedEvent, TimedEvent]] = field(default_factory=list)
    copied: dict[int, TimedEvent] = field(default_factory=dict)
    spare: list[TimedEvent] = field(default_factory=list)
    moves: int = 0
    size_bytes: int = 0

    def record(self, stream: Any = None) -> TimedEvent:
        event = self.spare.pop() if self.spare else self.new_event()
        event.record(stream) if stream is not None else event.record()
        return event


@contextmanager
def observe_stream_waits(clock: StageClock, new_event: Callable[[], TimedEvent] = cuda_event) -> Iterator[None]:
    """Write the waits inside the block to the clock, at each of its borders."""
    waits = _Waits(new_event)
    reference: tuple[TimedEvent, int] | None = None

    def write() -> None:
        # The device is idle here, so the event happens now.
        nonlocal reference
        if reference is not None:
            intervals = _intervals(*reference, waits.pending)
            if waits.moves:
                clock.waits(intervals, waits.moves, waits.size_bytes)
            waits.spare += [event for pair in waits.pending for event in pair] + [reference[0]]
            waits.pending, waits.moves, waits.size_bytes = [], 0, 0
        reference = waits.record(), time.monotonic_ns()

    with patching() as patches, clock.at_borders(write):
        patches.replace(ModuleGroup, "onload_", lambda original: _onload(original, waits))
        patches.replace(GroupOffloadingHook, "pre_forward", lambda original: _pre_forward(original, waits))
        yield


def _intervals(
    reference: TimedEvent, reference_ns: int, pairs: list[tuple[TimedEvent, TimedEvent]]
) -> list[tuple[int, int]]:
    times_ns = (
        tuple(reference_ns + round(reference.elapsed_time(event) * 1e6) for event in (ready, copied))
        for ready, copied in pairs
    )
    return [(ready_ns, copied_ns) for ready_ns, copied_ns in times_ns if copied_ns - ready_ns > _RESOLUTION_NS]


def _onload(original: Callable[..., Any], waits: _Waits) -> Callable[..., Any]:
    def onload(group: ModuleGroup) -> None:
        original(group)
        if group.stream is not None:
            waits.copied[id(group)] = waits.record(group.stream)
            waits.moves += 1
            waits.size_bytes += sum(tensor.nbytes for tensor in weights_of(group))

    return torch.compiler.disable(onload)


def _pre_forward(original: Callable[..., Any], waits: _Waits) -> Callable[..., Any]:
    def pre_forward(hook: GroupOffloadingHook, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        group = hook.group
        if group.stream is None or group.onload_leader not in (None, module):
            return original(hook, module, *args, **kwargs)
        ready = waits.record()
        result = original(hook, module, *args, **kwargs)
        copied = waits.copied.pop(id(group), None)
        if copied is None:
            waits.spare.append(ready)
        else:
            waits.pending.append((ready, copied))
        return result

    return pre_forward


def weights_of(group: ModuleGroup) -> list[torch.Tensor]:
    """Parameters that a group moves."""
    return [tensor for part in group.modules for tensor in part.parameters()] + list(group.parameters)
