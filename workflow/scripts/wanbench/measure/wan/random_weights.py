"""Modules with random weights, made straight on a device: no download, no second copy in host memory."""

import math
import string
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import T5TokenizerFast

# Large enough that a copy runs at the bus's speed, small enough to be page-locked at once.
_STAGING_BYTES = 256 * 2**20
# So that what they are drawn in takes 64 MB, however large a parameter is.
_DRAWN_AT_ONCE = 2**24


@dataclass(frozen=True)
class Placement:
    """The device that draws a module's random values, and the one that they stay on."""

    fill_on: torch.device
    keep_on: torch.device


def random_module(
    make: Callable[[], nn.Module], where: Placement, dtype: torch.dtype, keep_fp32: Collection[str], seed: int
) -> nn.Module:
    """A module in evaluation mode whose parameters are random, finite and frozen.

    Parameters are declared on the meta device and then filled, so none is made twice. Buffers are made for real,
    since rope tables are not in a checkpoint and would be lost on the meta device.

    Args:
        keep_fp32: name parts of parameters that `from_pretrained` keeps in float32 whatever `dtype` is.
    """
    with init_empty_weights(include_buffers=False):
        module = make()
    # Declaring a parameter on the meta device makes a new one of it, which parts tied ones.
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    generator = torch.Generator(device=where.fill_on).manual_seed(seed)
    to_host = where.fill_on.type == "cuda" and where.keep_on.type == "cpu"
    pinned = torch.empty(_STAGING_BYTES, dtype=torch.uint8, pin_memory=True) if to_host else None
    # Tied parameters (the shared embedding of UMT5) are one tensor under several names, and stay so.
    filled: dict[int, nn.Parameter] = {}
    # One for all: torch would cut each one that it takes again, and keep what is left over (9 GB of an A14B).
    drawn = torch.empty(_DRAWN_AT_ONCE, dtype=torch.float32, device=where.fill_on)
    for path, part in module.named_modules():
        for name, parameter in part._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in filled:
                in_fp32 = not set(keep_fp32).isdisjoint(f"{path}.{name}".split("."))
                tensor = torch.empty(parameter.shape, device=where.fill_on, dtype=torch.float32 if in_fp32 else dtype)
                _fill(tensor, part, name, generator, drawn)
                kept = tensor if pinned is None else _to_host(tensor, pinned)
                filled[id(parameter)] = nn.Parameter(kept, requires_grad=False)
            part._parameters[name] = filled[id(parameter)]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(where.keep_on)
    return module.eval()


def _to_host(tensor: torch.Tensor, pinned: torch.Tensor) -> torch.Tensor:
    """A copy of a GPU's tensor in ordinary host memory, by way of a page-locked buffer.

    A direct copy to fresh pageable memory ran at 1.4 GB/s on an H200's host, and a host core fills no faster.
    """
    host = torch.empty(tensor.shape, dtype=tensor.dtype)
    source, target = tensor.reshape(-1).view(torch.uint8), host.view(-1).view(torch.uint8)
    for start in range(0, source.numel(), len(pinned)):
        part = source[start : start + len(pinned)]
        pinned[: part.numel()].copy_(part)
        target[start : start + part.numel()].copy_(pinned[: part.numel()])
    return host


def _fill(tensor: torch.Tensor, part: nn.Module, name: str, generator: torch.Generator, drawn: torch.Tensor) -> None:
    """Fill in place so that activations keep their scale through any depth, and stay finite in bfloat16.

    Random values are drawn in float32 and rounded, so that cases of other types have the same weights.
    """
    if name == "bias":
        tensor.zero_()
        return
    if name == "gamma" or tensor.ndim <= 1:
        tensor.fill_(1.0)
        return
    for some in tensor.view(-1).split(len(drawn)):
        values = drawn[: len(some)]
        if isinstance(part, nn.Embedding):
            values.normal_(generator=generator)
        elif name == "scale_shift_table":
            values.normal_(std=1 / math.sqrt(tensor.shape[-1]), generator=generator)
        else:
            bound = math.sqrt(3 / math.prod(tensor.shape[1:]))
            values.uniform_(-bound, bound, generator=generator)
        some.copy_(values)


def letter_tokenizer() -> T5TokenizerFast:
    """A Unigram tokenizer of single characters: real code, made vocabulary, nothing downloaded.

    Wan pads every prompt to 512 tokens, so the cost of text encoding does not depend on the vocabulary.
    """
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    characters = [(character, -6.0) for character in string.ascii_letters + string.digits + string.punctuation]
    return T5TokenizerFast(vocab=special + characters, extra_ids=0, model_max_length=512)
