"""8-bit products in the denoiser's blocks, by torchao.

Weights are quantized once, activations in each pass, both with a scale for each row.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

# Class of the weights of a quantized layer.
_WEIGHTS = {"fp8_rowwise": "Float8Tensor", "int8_rowwise": "Int8Tensor"}
# A row of zeros, such as of the tokens with which Wan pads a prompt, has no scale, and becomes NaN without a least one.
_LEAST_ACTIVATION = 1e-6
# Ada; torchao refuses what is older.
_FP8_CAPABILITY = (8, 9)


def why_impossible(quantization: str, device: torch.device) -> str:
    """What is missing here, as the end of a sentence; empty where nothing is."""
    if quantization == "none":
        return ""
    if find_spec("torchao") is None:
        return "needs the package torchao, which is not installed here"
    if quantization == "fp8_rowwise" and (
        device.type == "cpu" or torch.cuda.get_device_capability(device) < _FP8_CAPABILITY
    ):
        return "needs a GPU with FP8 (compute capability 8.9 or more), and torch sees none here; allowed: int8_rowwise"
    return ""


def quantize_blocks(transformer: nn.Module, quantization: str) -> None:
    """Quantize the linear layers of all blocks, where their weights lie."""
    from torchao.quantization import quantize_

    quantize_(transformer.blocks, config_of(quantization))


def config_of(quantization: str) -> Any:
    """TorchAO's configuration."""
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Int8DynamicActivationInt8WeightConfig,
        PerRow,
    )

    # Their settings of the compiler search for minutes.
    if quantization == "int8_rowwise":
        return Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    return Float8DynamicActivationFloat8WeightConfig(
        granularity=PerRow(), activation_value_lb=_LEAST_ACTIVATION, set_inductor_config=False
    )


def quantization_of(transformer: nn.Module) -> str:
    """The quantization of all linear layers of the blocks; how many, where it is not of all."""
    weights = [type(part.weight).__name__ for part in transformer.blocks.modules() if isinstance(part, nn.Linear)]
    for quantization, name in _WEIGHTS.items():
        if found := weights.count(name):
            return quantization if found == len(weights) else f"{quantization} in {found} of {len(weights)} layers"
    return "none"
