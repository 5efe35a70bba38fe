"""Apply a case's settings to a pipeline, and read back what is in force."""

from typing import Any

import numpy as np
import torch
from accelerate import cpu_offload
from accelerate.hooks import AlignDevicesHook, CpuOffload
from diffusers import DiffusionPipeline
from diffusers.hooks.group_offloading import _is_group_offload_enabled
from torch import nn

from wanbench.cases.case import Case


class SettingError(RuntimeError):
    """A setting that was asked for is not in force: measuring would report what did not run."""


def apply_settings(pipe: DiffusionPipeline, case: Case, device: torch.device) -> None:
    """Set attention, tiling and offload, and place the pipeline on `device`.

    Raises:
        SettingError: a setting reads back as something else.
    """
    for transformer in transformers_of(pipe):
        transformer.set_attention_backend(case.attention)
    if case.vae_tiling:
        pipe.vae.enable_tiling()
    _apply_offload(pipe, case.offload, device)
    check_in_force(settings_in_force(pipe), case)


def check_in_force(in_force: dict[str, Any], case: Case) -> None:
    """Compare what is in force with what the case asks for.

    Raises:
        SettingError: they differ.
    """
    for key, value in in_force.items():
        asked = case.settings()[key]
        if value != asked:
            raise SettingError(f"{key}: {asked!r} was asked for, and {value!r} is in force")


def settings_in_force(pipe: DiffusionPipeline) -> dict[str, Any]:
    """Case keys and their values as the pipeline's own objects show them."""
    backends = {
        module.processor._attention_backend
        for transformer in transformers_of(pipe)
        for module in transformer.modules()
        if hasattr(getattr(module, "processor", None), "_attention_backend")
    }
    return {
        "attention": "/".join(sorted(str(getattr(backend, "value", backend)) for backend in backends)),
        "dtype": _dtype_of(pipe.transformer),
        "vae_dtype": _dtype_of(pipe.vae),
        "vae_tiling": pipe.vae.use_tiling,
        "shift": float(pipe.scheduler.config.flow_shift),
        "offload": _offload_of(pipe),
    }


def transformers_of(pipe: DiffusionPipeline) -> list[nn.Module]:
    """The denoiser, or the two experts of A14B (high noise, low noise)."""
    return [module for module in (pipe.transformer, pipe.transformer_2) if module is not None]


def modules_of(pipe: DiffusionPipeline) -> dict[str, nn.Module]:
    """The pipeline's components that hold weights, by name."""
    return {name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)}


def _apply_offload(pipe: DiffusionPipeline, offload: str, device: torch.device) -> None:
    if offload == "none":
        pipe.to(device)
    elif offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "group":
        pipe.enable_group_offload(onload_device=device, offload_type="leaf_level")
    elif device.type == "cpu":
        # The call that enable_sequential_cpu_offload makes. That one turns "cpu" into "cpu:0", which
        # accelerate 1.15 cannot take.
        for module in modules_of(pipe).values():
            cpu_offload(module, device, offload_buffers=len(module._parameters) > 0)
    else:
        pipe.enable_sequential_cpu_offload(device=device)


def _offload_of(pipe: DiffusionPipeline) -> str:
    modules = list(modules_of(pipe).values())
    hooks = [
        inner
        for module in modules
        for part in module.modules()
        for hook in [getattr(part, "_hf_hook", None)]
        for inner in getattr(hook, "hooks", [hook])
    ]
    if any(isinstance(hook, AlignDevicesHook) and hook.offload for hook in hooks):
        return "sequential"
    if any(isinstance(hook, CpuOffload) for hook in hooks):
        return "model"
    return "group" if any(_is_group_offload_enabled(module) for module in modules) else "none"


def _dtype_of(module: nn.Module) -> str:
    """Data type of most of the module's weights, by count: a few stay in float32 by design."""
    counts: dict[str, int] = {}
    for parameter in module.parameters():
        name = str(parameter.dtype).removeprefix("torch.")
        counts[name] = counts.get(name, 0) + parameter.numel()
    return max(counts, key=counts.__getitem__)


def settings_of_output(pipe: DiffusionPipeline, frames: np.ndarray) -> dict[str, Any]:
    """Case keys and their values as the last generation shows them.

    Args:
        frames: its output, shape (frames, height, width, 3).
    """
    count, height_px, width_px, _ = frames.shape
    guidance = [pipe.guidance_scale] if pipe.transformer_2 is None else [pipe.guidance_scale, pipe._guidance_scale_2]
    return {
        "size": f"{width_px}*{height_px}",
        "frames": count,
        "steps": pipe.num_timesteps,
        "guidance": guidance,
    }
