"""See weights move between host and device, whichever offload mode moves them.

Each mode moves weights in one method of a library, which is wrapped on its class: accelerate removes and
adds its hook objects at the end of every generation, so wrapping the objects would not last. Sequential offload keeps
the weights on the host and drops its copies on the device, so it only loads.

A move is timed between two device synchronisations, so that kernels queued before it do not count as loading. Copies
on a stream of their own are not: `stream_waits` finds what they cost.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.hooks import AlignDevicesHook, CpuOffload
from diffusers.hooks.group_offloading import ModuleGroup
from torch import nn

from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.patching import patching
from wanbench.measure.wan.stream_waits import weights_of

LOAD, OFFLOAD = "load", "offload"


@contextmanager
def observe_weight_transfers(clock: StageClock) -> Iterator[None]:
    """Write the moves of weights inside the block to the clock; a call that moves nothing is none.

    Not those of the pipeline itself, which with model offload takes off the device what is left on it at the end.
    """
    with patching() as patches:
        for cls, method, direction, will_move in (
            (CpuOffload, "pre_forward", LOAD, _model_will_load),
            (CpuOffload, "init_hook", OFFLOAD, _model_will_offload),
            (AlignDevicesHook, "pre_forward", LOAD, _sequential_will_load),
            (ModuleGroup, "onload_", LOAD, _group_will_move),
            (ModuleGroup, "offload_", OFFLOAD, _group_will_move),
        ):
            patches.replace(cls, method, _observed(clock, direction, will_move))
        yield


def _observed(clock: StageClock, direction: str, will_move: Callable[..., bool]) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(hook: Any, *args: Any, **kwargs: Any) -> Any:
            module = args[0] if args and isinstance(args[0], nn.Module) else None
            if not will_move(hook, module):
                return original(hook, *args, **kwargs)
            start_ns = clock.now_ns()
            result = original(hook, *args, **kwargs)
            size_bytes = sum(tensor.nbytes for tensor in _tensors(hook, module))
            clock.transfer(start_ns, direction, _label(hook, module), size_bytes)
            return result

        # Group offloading calls its groups from hooks that torch.compile may trace.
        return torch.compiler.disable(wrapped)

    return make


def _model_will_load(hook: CpuOffload, module: nn.Module) -> bool:
    return any(_elsewhere(tensor.device, torch.device(hook.execution_device)) for tensor in module.parameters())


def _model_will_offload(hook: CpuOffload, module: nn.Module) -> bool:
    return any(tensor.device.type != "cpu" for tensor in module.parameters())


def _sequential_will_load(hook: AlignDevicesHook, module: nn.Module) -> bool:
    return hook.offload


def _group_will_move(hook: ModuleGroup, module: None) -> bool:
    holds = hook.modules or hook.parameters or hook.buffers
    return hook.stream is None and bool(holds) and _elsewhere(hook.offload_device, hook.onload_device)


def _elsewhere(device: torch.device, target: torch.device) -> bool:
    """Whether two devices differ; "cpu" and "cpu:0" are one, as are "cuda" and the current one."""
    if device.type != target.type:
        return True
    return device.type != "cpu" and None not in (device.index, target.index) and device.index != target.index


def _tensors(hook: Any, module: nn.Module | None) -> Iterable[torch.Tensor]:
    if module is not None:
        return module.parameters(recurse=getattr(hook, "place_submodules", True))
    return weights_of(hook)


def _label(hook: Any, module: nn.Module | None) -> str:
    parts = [module] if module is not None else hook.modules
    return "+".join(dict.fromkeys(type(part).__name__ for part in parts)) or "parameters"
