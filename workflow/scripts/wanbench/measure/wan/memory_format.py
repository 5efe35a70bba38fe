"""The layout in memory of a VAE's convolution weights."""

import torch
from torch import nn

_CHANNELS_LAST = {nn.Conv2d: torch.channels_last, nn.Conv3d: torch.channels_last_3d}


def set_channels_last(vae: nn.Module) -> None:
    for convolution, memory_format in _convolutions(vae):
        convolution.to(memory_format=memory_format)


def memory_format_of(vae: nn.Module) -> str:
    """`contiguous`, `channels_last`, or how many of its weights are so."""
    # One that has a single channel, or a kernel of a single pixel, is both.
    convolutions = _convolutions(vae)
    if all(part.weight.is_contiguous() for part, _ in convolutions):
        return "contiguous"
    last = [part.weight.is_contiguous(memory_format=memory_format) for part, memory_format in convolutions]
    return "channels_last" if all(last) else f"channels_last in {sum(last)} of {len(last)} convolutions"


def _convolutions(vae: nn.Module) -> list[tuple[nn.Module, torch.memory_format]]:
    # Wan's causal convolution is a subclass.
    return [
        (part, memory_format)
        for part in vae.modules()
        for kind, memory_format in _CHANNELS_LAST.items()
        if isinstance(part, kind)
    ]
