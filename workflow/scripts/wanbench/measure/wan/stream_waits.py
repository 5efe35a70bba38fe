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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from diffusers.hooks.group_offloading import _GROUP_OFFLOADING, GroupOffloadingHook, ModuleGroup
from torch import nn

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
    transfers: int = 0
    size_bytes: int = 0

    def record(self, stream: Any = None) -> TimedEvent:
        event = self.spare.pop() if self.spare else self.new_event()
        event.record(stream) if stream is not None else event.record()
        return event


def group_hooks(module: nn.Module) -> Iterator[GroupOffloadingHook]:
    """The hooks by which group offloading moves a module's parts."""
    for part in module.modules():
        registry = getattr(part, "_diffusers_hook", None)
        hook = registry.get_hook(_GROUP_OFFLOADING) if registry is not None else None
        if hook is not None:
            yield hook


@contextmanager
def observe_stream_waits(
    modules: Iterable[nn.Module], clock: StageClock, new_event: Callable[[], TimedEvent] = cuda_event
) -> Iterator[None]:
    """Write the waits for weights of the modules inside the block to the clock, at each of its borders."""
    hooks = [hook for module in modules for hook in group_hooks(module) if hook.group.stream is not None]
    if not hooks:
        yield
        return
    waits = _Waits(new_event)
    reference: tuple[TimedEvent, int] | None = None

    def write() -> None:
        # The device is idle here, so the event happens now.
        nonlocal reference
        if reference is not None:
            intervals = _intervals(*reference, waits.pending)
            if waits.transfers:
                clock.waits(intervals, waits.transfers, waits.size_bytes)
            waits.spare += [event for pair in waits.pending for event in pair] + [reference[0]]
            waits.pending, waits.transfers, waits.size_bytes = [], 0, 0
        reference = waits.record(), time.monotonic_ns()

    with patching() as patches, clock.at_borders(write):
        patches.replace(ModuleGroup, "onload_", lambda original: _onload(original, waits))
        for hook in hooks:
            # Where diffusers keeps the bound method that a module's forward calls.
            patches.replace(hook.fn_ref, "pre_forward", partial(_pre_forward, waits=waits, hook=hook))
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
            waits.transfers += 1
            waits.size_bytes += sum(tensor.nbytes for tensor in weights_of(group))

    return torch.compiler.disable(onload)


def _pre_forward(original: Callable[..., Any], waits: _Waits, hook: GroupOffloadingHook) -> Callable[..., Any]:
    group = hook.group

    def pre_forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if group.onload_leader not in (None, module):
            return original(module, *args, **kwargs)
        ready = waits.record()
        result = original(module, *args, **kwargs)
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
