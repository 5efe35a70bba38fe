"""Apply a case's settings to a pipeline, and read back what is in force."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import torch
from accelerate import cpu_offload
from accelerate.hooks import AlignDevicesHook, CpuOffload
from diffusers import DiffusionPipeline, FirstBlockCacheConfig, WanPipeline
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from diffusers.hooks.group_offloading import GroupOffloadingHook
from diffusers.hooks.layerwise_casting import LayerwiseCastingHook
from torch import nn

from wanbench.cases.case import Case
from wanbench.measure.cuda import memory_limit_gb
from wanbench.measure.wan import quantize
from wanbench.measure.wan.hindrances import SettingError
from wanbench.measure.wan.lora import add_loras, lora_weights_of
from wanbench.measure.wan.ran import compiled_frames, has_reached_recompile_limit
from wanbench.measure.wan.ranks import enable_context_parallel, parallel_degree
from wanbench.measure.wan.weight_transfers import hooks_of


def apply_settings(pipe: DiffusionPipeline, case: Case, device: torch.device) -> None:
    """Set what the case asks for, place the pipeline on `device`, and compile.

    Raises:
        SettingError: a setting reads back as something else.
    """
    torch.set_float32_matmul_precision("high" if case.matmul_tf32 else "highest")
    if case.timesteps is not None:
        pipe.register_to_config(expand_timesteps=case.timesteps == "per_token")
    add_loras(pipe, case)
    for transformer in transformers_of(pipe):
        transformer.set_attention_backend(case.attention)
        if case.gpus > 1:
            enable_context_parallel(transformer, case.gpus, device)
        if case.cache == "first_block":
            transformer.enable_cache(FirstBlockCacheConfig(threshold=case.cache_threshold))
        if case.quantization != "none":
            quantize.quantize_blocks(transformer, case.quantization)
        if case.layerwise_casting != "none":
            stored_as = getattr(torch, case.layerwise_casting)
            transformer.enable_layerwise_casting(storage_dtype=stored_as, compute_dtype=getattr(torch, case.dtype))
    if case.vae_memory_format == "channels_last":
        for convolution, memory_format in _convolutions(pipe.vae):
            convolution.to(memory_format=memory_format)
    if case.vae_tiling:
        pipe.vae.enable_tiling()
    _apply_offload(pipe, case.offload, device)
    if case.compile == "repeated_blocks":
        for transformer in transformers_of(pipe):
            # The cache decides on the host whether a block runs, and the first block's part of the tokens is cut out by
            # a hook; neither can a single graph hold.
            transformer.compile_repeated_blocks(fullgraph=case.cache == "none" and case.gpus == 1)
    check_in_force(settings_in_force(pipe), case)


def check_in_force(in_force: dict[str, Any], case: Case) -> None:
    """Raise SettingError where what is in force is not what the case asks for."""
    for key, value in in_force.items():
        asked = case.settings()[key]
        if value != asked:
            raise SettingError(f"{key}: {asked!r} was asked for, and {value!r} is in force")


def settings_in_force(pipe: DiffusionPipeline) -> dict[str, Any]:
    """Case keys and their values as the pipeline's own objects show them."""
    denoisers = transformers_of(pipe)
    parts = [part for denoiser in denoisers for part in denoiser.modules()]
    processors = [part.processor for part in parts if hasattr(part, "processor")]
    backends = [each._attention_backend for each in processors if hasattr(each, "_attention_backend")]
    thresholds = {hook.threshold for hook in hooks_of(denoisers, FBCHeadBlockHook)}
    casts = hooks_of(denoisers, LayerwiseCastingHook)
    return {
        "attention": _alike(getattr(backend, "value", backend) for backend in backends),
        "dtype": _name_of(casts[0].compute_dtype) if casts else _dtype_of(pipe.transformer),
        "vae_dtype": _dtype_of(pipe.vae),
        "vae_tiling": pipe.vae.use_tiling,
        "shift": float(pipe.scheduler.config.flow_shift),
        "offload": _offload_of(pipe),
        "compile": _compile_of(pipe),
        "cache": "first_block" if thresholds else "none",
        "cache_threshold": _alike(thresholds),
        "gpus": _alike(parallel_degree(denoiser) for denoiser in denoisers),
        "timesteps": _timesteps_of(pipe),
        "vae_memory_format": _memory_format_of(pipe.vae),
        "matmul_tf32": torch.get_float32_matmul_precision() != "highest",
        "quantization": _alike(quantize.quantization_of(denoiser) for denoiser in denoisers),
        "layerwise_casting": _name_of(casts[0].storage_dtype) if casts else "none",
        "lora_weight": _alike(chain.from_iterable(map(lora_weights_of, denoisers)), none=1.0),
        "gpu_memory_gb": memory_limit_gb(),
    }


def _alike(values: Iterable[Any], none: Any = None) -> Any:
    """The value that all parts have, or `none` where no part has one; all of them, in a text, where parts differ."""
    found = sorted(set(values), key=str)
    return "/".join(map(str, found)) if len(found) > 1 else next(iter(found), none)


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
    elif offload in ("group", "group_stream"):
        streamed = offload == "group_stream"
        pipe.enable_group_offload(onload_device=device, offload_type="leaf_level", use_stream=streamed)
    elif device.type == "cpu":
        # The call that enable_sequential_cpu_offload makes. That one turns "cpu" into "cpu:0", which
        # accelerate 1.15 cannot take.
        for module in modules_of(pipe).values():
            cpu_offload(module, device, offload_buffers=len(module._parameters) > 0)
    else:
        pipe.enable_sequential_cpu_offload(device=device)


def _offload_of(pipe: DiffusionPipeline) -> str:
    modules = list(modules_of(pipe).values())
    of_parts = [getattr(part, "_hf_hook", None) for module in modules for part in module.modules()]
    hooks = [inner for hook in of_parts for inner in getattr(hook, "hooks", [hook])]
    if any(isinstance(hook, AlignDevicesHook) and hook.offload for hook in hooks):
        return "sequential"
    if any(isinstance(hook, CpuOffload) for hook in hooks):
        return "model"
    groups = [hook.group for hook in hooks_of(modules, GroupOffloadingHook)]
    if any(group.stream is not None for group in groups):
        return "group_stream"
    return "group" if groups else "none"


def _compile_of(pipe: DiffusionPipeline) -> str:
    blocks = [block for transformer in transformers_of(pipe) for block in transformer.blocks]
    compiled = [block for block in blocks if block._compiled_call_impl is not None]
    if compiled and len(compiled) < len(blocks):
        return f"{len(compiled)} of {len(blocks)} blocks"
    return "repeated_blocks" if compiled else "none"


def _memory_format_of(vae: nn.Module) -> str:
    # A weight that has a single channel, or a kernel of a single pixel, is both.
    convolutions = _convolutions(vae)
    if all(part.weight.is_contiguous() for part, _ in convolutions):
        return "contiguous"
    last = [part.weight.is_contiguous(memory_format=memory_format) for part, memory_format in convolutions]
    return "channels_last" if all(last) else f"channels_last in {sum(last)} of {len(last)} convolutions"


def _convolutions(vae: nn.Module) -> list[tuple[nn.Module, torch.memory_format]]:
    """With the layout that is channels_last for them. Wan's causal convolution is a subclass."""
    kinds = {nn.Conv2d: torch.channels_last, nn.Conv3d: torch.channels_last_3d}
    return [(part, last) for part in vae.modules() for kind, last in kinds.items() if isinstance(part, kind)]


def _timesteps_of(pipe: DiffusionPipeline) -> str | None:
    """How the timestep is embedded, where that can be chosen: in text-to-video with TI2V-5B."""
    if pipe.transformer_2 is not None or not isinstance(pipe, WanPipeline):
        return None
    return "per_token" if pipe.config.expand_timesteps else "uniform"


def _dtype_of(module: nn.Module) -> str:
    """Data type of most of the module's weights, by count: a few stay in float32 by design."""
    counts: Counter[torch.dtype] = Counter()
    for parameter in module.parameters():
        counts[parameter.dtype] += parameter.numel()
    return _name_of(counts.most_common(1)[0][0])


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def settings_of_output(pipe: DiffusionPipeline, frames: np.ndarray) -> dict[str, Any]:
    """Case keys and their values as the last generation shows them, whose frames are (frames, height, width, 3)."""
    count, height_px, width_px, _ = frames.shape
    guidance = [pipe.guidance_scale] if pipe.transformer_2 is None else [pipe.guidance_scale, pipe._guidance_scale_2]
    # Blocks that are marked for compilation run as they are where torch falls back.
    compiled = {} if compiled_frames() else {"compile": "none"}
    if has_reached_recompile_limit():
        compiled = {"compile": "a part, until torch reached its recompile_limit"}
    return compiled | {
        "size": f"{width_px}*{height_px}",
        "frames": count,
        "steps": pipe.num_timesteps,
        "guidance": guidance,
    }
