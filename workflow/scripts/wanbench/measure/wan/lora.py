"""LoRAs, loaded by the stock pipeline."""

from diffusers import DiffusionPipeline
from peft.tuners.lora import LoraLayer
from torch import nn

from wanbench.cases.case import Case
from wanbench.util.paths import hub_file, named_path
from wanbench.util.text import one_line


def add_loras(pipe: DiffusionPipeline, case: Case) -> None:
    """Load the case's LoRAs into its denoisers, and give them their weight.

    Raises:
        ValueError: a file is none of this denoiser.
    """
    files = {"lora": case.lora, "lora_low_noise": case.lora_low_noise}
    names = [name for name, file in files.items() if file is not None]
    for name in names:
        second = name == "lora_low_noise"
        if hub := hub_file(files[name]):
            source, options = hub.repository, {"weight_name": hub.path, "revision": hub.commit}
        else:
            file = named_path(files[name])
            source, options = str(file.parent), {"weight_name": file.name}
        try:
            pipe.load_lora_weights(source, **options, adapter_name=name, load_into_transformer_2=second)
        except Exception as error:
            # Diffusers has many kinds of it, none of which names the file, and some have a line for each layer.
            raise ValueError(f"{name}: {files[name]} does not fit this denoiser: {one_line(str(error))}") from error
        if not _layers(pipe.transformer_2 if second else pipe.transformer):
            raise ValueError(f"{name}: {files[name]} does not fit this denoiser: it has none of its layers")
    if names:
        pipe.set_adapters(names, [case.lora_weight] * len(names))


def lora_weights_of(denoiser: nn.Module) -> set[float]:
    """Weights of the LoRAs in force."""
    return {
        round(float(layer.scaling[name] * layer.r[name] / layer.lora_alpha[name]), 6)
        for layer in _layers(denoiser)
        for name in layer.active_adapters
    }


def _layers(denoiser: nn.Module) -> list[LoraLayer]:
    return [part for part in denoiser.modules() if isinstance(part, LoraLayer)]
