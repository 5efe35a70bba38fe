"""8-bit products in the denoiser's blocks, by torchao.

Weights are quantized once, activations in each pass, both with a scale for each row.
"""

from typing import Any

from torch import nn

# Class of the weights of a quantized layer.
_WEIGHTS = {"fp8_rowwise": "Float8Tensor", "int8_rowwise": "Int8Tensor"}
# A row of zeros, such as of the tokens with which Wan pads a prompt, has no scale, and becomes NaN without a least one.
_LEAST_ACTIVATION = 1e-6


def quantize_blocks(transformer: nn.Module, quantization: str) -> None:
    """Quantize the linear layers of all blocks, where their weights lie."""
    from torchao.quantization import quantize_

    quantize_(transformer.blocks, config_of(quantization))


def config_of(quantization: str) -> Any:
    """TorchAO's configuration."""
    from torchao import quantization as ao

    # Their settings of the compiler search for minutes.
    if quantization == "int8_rowwise":
        return ao.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    return ao.Float8DynamicActivationFloat8WeightConfig(
        granularity=ao.PerRow(), activation_value_lb=_LEAST_ACTIVATION, set_inductor_config=False
    )


def quantization_of(transformer: nn.Module) -> str:
    """The quantization of all linear layers of the blocks; how many, where it is not of all."""
    weights = [type(part.weight).__name__ for part in transformer.blocks.modules() if isinstance(part, nn.Linear)]
    for quantization, name in _WEIGHTS.items():
        if found := weights.count(name):
            return quantization if found == len(weights) else f"{quantization} in {found} of {len(weights)} layers"
    return "none"
