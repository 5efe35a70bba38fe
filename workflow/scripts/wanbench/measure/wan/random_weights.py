"""Modules with random weights, made straight on a device: no download, no second copy in host memory."""

import math
from collections.abc import Callable, Collection

import torch
from accelerate import init_empty_weights
from torch import nn


def random_module(
    make: Callable[[], nn.Module], device: torch.device, dtype: torch.dtype, keep_fp32: Collection[str], seed: int
) -> nn.Module:
    """A module in evaluation mode whose parameters are random, finite and frozen.

    Parameters are never made on the host: they are declared on the meta device and then filled on `device`.
    Buffers are made for real, since rope tables are not in a checkpoint and would be lost on the meta device.

    Args:
        make: constructor of the module.
        keep_fp32: name parts of parameters that `from_pretrained` keeps in float32 whatever `dtype` is.
        seed: of the generator on `device`.
    """
    with init_empty_weights(include_buffers=False):
        module = make()
    generator = torch.Generator(device=device).manual_seed(seed)
    # Tied parameters (the shared embedding of UMT5) are one tensor under several names, and stay so.
    filled: dict[int, nn.Parameter] = {}
    for path, part in module.named_modules():
        for name, parameter in part._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in filled:
                in_fp32 = not set(keep_fp32).isdisjoint(f"{path}.{name}".split("."))
                tensor = torch.empty(parameter.shape, device=device, dtype=torch.float32 if in_fp32 else dtype)
                _fill(tensor, part, name, generator)
                filled[id(parameter)] = nn.Parameter(tensor, requires_grad=False)
            part._parameters[name] = filled[id(parameter)]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device)
    return module.eval()


def _fill(tensor: torch.Tensor, part: nn.Module, name: str, generator: torch.Generator) -> None:
    """Fill in place so that activations keep their scale through any depth, and stay finite in bfloat16."""
    if isinstance(part, nn.Embedding):
        tensor.normal_(generator=generator)
    elif name == "bias":
        tensor.zero_()
    elif name == "gamma" or tensor.ndim <= 1:
        tensor.fill_(1.0)
    elif name == "scale_shift_table":
        tensor.normal_(std=1 / math.sqrt(tensor.shape[-1]), generator=generator)
    else:
        fan_in = math.prod(tensor.shape[1:])
        bound = math.sqrt(3 / fan_in)
        tensor.uniform_(-bound, bound, generator=generator)
