"""See weights move between host and device, whichever offload mode moves them, and what that costs.

Each mode moves weights in one method of a library, which is wrapped on its class: accelerate makes its hook objects
anew at the end of every generation. A weight transfer is timed between two device synchronisations, so that kernels
queued before it are no part of loading. Group offloading with streams copies beside the computing:

    compute stream   ...kernels of group i |  waits  | kernels of group i+1
                                           ready     |
    copy stream      ......... weights of group i+1 .|
                                                     copied

The host waits for both, so neither the copies' own time nor the host's says what loading costs. Two CUDA events do:
when the compute stream has nothing left to do before a group's computing (`ready`), and when the group's weights have
arrived (`copied`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any
from unittest.mock import patch

import torch
from accelerate.hooks import AlignDevicesHook, CpuOffload
from diffusers.hooks.group_offloading import GroupOffloadingHook, ModuleGroup
from torch import nn

from wanbench.measure.stage_clock import StageClock

LOAD, OFFLOAD = "load", "offload"
# Events show the order of two streams to about this time.
_RESOLUTION_NS = 1_000


@contextmanager
def wrapped(*methods: tuple[Any, str, Callable[[Callable[..., Any]], Callable[..., Any]]]) -> Iterator[None]:
    """Replace methods of objects or classes inside the block: each `owner.name` by `make(owner.name)`."""
    with ExitStack() as undo:
        for owner, name, make in methods:
            undo.enter_context(patch.object(owner, name, make(getattr(owner, name))))
        yield


def observe_weight_transfers(clock: StageClock) -> AbstractContextManager[None]:
    """Write the weight transfers inside the block to the clock; a call that transfers nothing is none.

    Not those of the pipeline itself, which with model offload takes off the device what is left on it at the end.
    """
    return wrapped(
        (CpuOffload, "pre_forward", partial(_observed, clock, LOAD, _model_will_load)),
        (CpuOffload, "init_hook", partial(_observed, clock, OFFLOAD, _model_will_offload)),
        (AlignDevicesHook, "pre_forward", partial(_observed, clock, LOAD, lambda hook, module: hook.offload)),
        (ModuleGroup, "onload_", partial(_observed, clock, LOAD, _group_will_move)),
        (ModuleGroup, "offload_", partial(_observed, clock, OFFLOAD, _group_will_move)),
    )


def _observed(
    clock: StageClock, direction: str, will_move: Callable[..., bool], original: Callable[..., Any]
) -> Callable[..., Any]:
    def observed(hook: Any, *args: Any, **kwargs: Any) -> Any:
        module = args[0] if args and isinstance(args[0], nn.Module) else None
        if not will_move(hook, module):
            return original(hook, *args, **kwargs)
        start_ns = clock.now_ns()
        result = original(hook, *args, **kwargs)
        size_bytes = _weights_bytes(hook, module)
        clock.transfers([(start_ns, clock.now_ns())], 1, direction, _label(hook, module), size_bytes)
        return result

    # Group offloading calls its groups from hooks that torch.compile may trace.
    return torch.compiler.disable(observed)


def _model_will_load(hook: CpuOffload, module: nn.Module) -> bool:
    return any(_elsewhere(tensor.device, torch.device(hook.execution_device)) for tensor in module.parameters())


def _model_will_offload(hook: CpuOffload, module: nn.Module) -> bool:
    return any(tensor.device.type != "cpu" for tensor in module.parameters())


def _group_will_move(hook: ModuleGroup, module: None) -> bool:
    holds = hook.modules or hook.parameters or hook.buffers
    return hook.stream is None and bool(holds) and _elsewhere(hook.offload_device, hook.onload_device)


def _elsewhere(device: torch.device, target: torch.device) -> bool:
    """Whether two devices differ; "cpu" and "cpu:0" are one, as are "cuda" and the current one."""
    if device.type != target.type:
        return True
    return device.type != "cpu" and None not in (device.index, target.index) and device.index != target.index


def _weights_bytes(hook: Any, module: nn.Module | None = None) -> int:
    """Of the module that a hook of accelerate transfers, or of a group."""
    if module is not None:
        return sum(tensor.nbytes for tensor in module.parameters(recurse=getattr(hook, "place_submodules", True)))
    return sum(tensor.nbytes for tensor in chain(*(part.parameters() for part in hook.modules), hook.parameters))


def _label(hook: Any, module: nn.Module | None) -> str:
    parts = [module] if module is not None else hook.modules
    return "+".join(dict.fromkeys(type(part).__name__ for part in parts)) or "parameters"


def hooks_of(modules: Iterable[nn.Module], kind: type) -> list[Any]:
    """Diffusers' hooks of one kind on modules and their parts."""
    parts = chain(*(module.modules() for module in modules))
    registries = [part._diffusers_hook for part in parts if hasattr(part, "_diffusers_hook")]
    return [hook for registry in registries for hook in registry.hooks.values() if isinstance(hook, kind)]


@dataclass
class _Waits:
    """Events since the last stage boundary, and those that can be used again."""

    new_event: Callable[..., Any]
    pending: list[tuple[Any, Any]] = field(default_factory=list)
    copied: dict[int, Any] = field(default_factory=dict)
    spare: list[Any] = field(default_factory=list)
    transfers: int = 0
    size_bytes: int = 0
    reference: tuple[Any, int] | None = None

    def record(self, stream: Any = None) -> Any:
        event = self.spare.pop() if self.spare else self.new_event(enable_timing=True)
        event.record(stream)
        return event

    def write(self, clock: StageClock) -> None:
        """Write the waits since the last call; the device is idle, so an event that is recorded now happens now."""
        if self.reference is not None:
            event, at_ns = self.reference
            times_ns = [[at_ns + round(event.elapsed_time(each) * 1e6) for each in pair] for pair in self.pending]
            waits = [(ready, copied) for ready, copied in times_ns if copied - ready > _RESOLUTION_NS]
            if self.transfers:
                clock.transfers(waits, self.transfers, LOAD, "stream", self.size_bytes)
            self.spare += [*chain(*self.pending), event]
            self.pending, self.transfers, self.size_bytes = [], 0, 0
        self.reference = self.record(), time.monotonic_ns()

    def onload(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`ModuleGroup.onload_`, noting when the group's weights will have arrived."""

        def onload(group: ModuleGroup) -> None:
            original(group)
            if group.stream is not None:
                self.copied[id(group)] = self.record(group.stream)
                self.transfers += 1
                self.size_bytes += _weights_bytes(group)

        return torch.compiler.disable(onload)

    def pre_forward(self, group: ModuleGroup, original: Callable[..., Any]) -> Callable[..., Any]:
        """A hook's `pre_forward`, noting when the compute stream has nothing left to do before it."""

        def pre_forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if group.onload_leader not in (None, module):
                return original(module, *args, **kwargs)
            ready = self.record()
            result = original(module, *args, **kwargs)
            copied = self.copied.pop(id(group), None)
            if copied is None:
                self.spare.append(ready)
            else:
                self.pending.append((ready, copied))
            return result

        return pre_forward


@contextmanager
def observe_stream_waits(
    modules: Iterable[nn.Module],
    clock: StageClock,
    new_event: Callable[..., Any] = torch.cuda.Event,
) -> Iterator[None]:
    """Write the waits for weights of the modules inside the block to the clock, at each of its stage boundaries."""
    hooks = [hook for hook in hooks_of(modules, GroupOffloadingHook) if hook.group.stream is not None]
    if not hooks:
        yield
        return
    waits = _Waits(new_event)
    # Where diffusers keeps the bound method that a module's forward calls.
    forwards = [(hook.fn_ref, "pre_forward", partial(waits.pre_forward, hook.group)) for hook in hooks]
    with wrapped((ModuleGroup, "onload_", waits.onload), *forwards), clock.at_boundaries(lambda: waits.write(clock)):
        yield
