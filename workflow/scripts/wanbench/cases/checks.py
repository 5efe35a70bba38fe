"""What the settings of a case must be beside valid by themselves.

Settings that are wrong are not among those that a check gets: where it asks for one, its KeyError says that it cannot
tell, since a mistake that is only one because of another is none. So all mistakes of a case are reported together.
"""

import json
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

from wanbench.cases.checkpoint_folder import tensors_of
from wanbench.cases.first_frame import problem_of_image
from wanbench.cases.scale import is_published, scale_written
from wanbench.cases.schema import not_allowed, shown
from wanbench.models.facts import ARCHITECTURES, MODELS, tokens
from wanbench.registry.settings import SETTINGS, Setting
from wanbench.util.errors import InputError
from wanbench.util.paths import hub_file, named_path
from wanbench.util.text import one_line

# `_AttentionBackendRegistry._supports_context_parallel` of diffusers, of the backends that a case may name.
_PARALLEL_ATTENTION = "native _native_cudnn _native_flash flash flash_hub _flash_3_hub sage sage_hub"
PARALLEL_ATTENTION = tuple(_PARALLEL_ATTENTION.split())

# Of a case, by key, without those that are wrong.
Settings = dict[str, Any]


def check_effect(settings: Settings, row: Setting, own: dict[str, Any]) -> None:
    """Set a setting without effect to None where it comes from the defaults of the file, and refuse the case's own."""
    if row.has_effect(settings):
        return
    if row.key in own:
        allowed = "only with " + " and ".join(f"{key}: {' or '.join(values)}" for key, values in row.only_with)
        raise InputError(f"{row.key}: {shown(own[row.key])} has no effect here; allowed: {allowed}")
    if row.key == "scale" and settings["scale"] == "tiny" and is_published(settings["checkpoint"]):
        raise InputError(
            f"weights: pretrained loads {settings['checkpoint']} at full size, and defaults say scale: tiny; "
            "allowed: weights: random, a local folder as checkpoint, or no scale in defaults"
        )
    settings[row.key] = None


def _check_task(settings: Settings) -> None:
    tasks = MODELS[settings["model"]].tasks
    if settings["task"] not in tasks:
        raise not_allowed("task", settings["task"], f"{', '.join(tasks)} ({settings['model']})")


def _check_size(settings: Settings) -> None:
    size, unofficial, facts = settings["size"], settings["unofficial_size"], MODELS[settings["model"]]
    if size in facts.sizes:
        return
    official, step = f"{', '.join(facts.sizes)} ({settings['model']})", facts.size_multiple
    wrong = [side for side in map(int, size.split("*")) if side % step]
    if wrong:
        near = ", and ".join(
            f"{side} is no multiple of {step}; nearest {max(step, round(side / step) * step)}" for side in wrong
        )
        condition = "" if unofficial else "with unofficial_size: true "
        raise not_allowed("size", size, f"{official}, or {condition}multiples of {step}", f" ({near})")
    if not unofficial:
        can = f"{official}; {settings['model']} can take it with unofficial_size: true"
        raise not_allowed("size", size, can)


def _check_frames(settings: Settings) -> None:
    frames = settings["frames"]
    if frames % 4 != 1:
        near = (frames - 1) // 4 * 4 + 1
        raise not_allowed("frames", frames, f"4k+1, such as {near} and {near + 4}")


def _check_guidance(settings: Settings) -> None:
    guidance = settings["guidance"]
    if isinstance(guidance, list) and len(guidance) != len(MODELS[settings["model"]].guidance):
        raise not_allowed("guidance", guidance, f"one number ({settings['model']} has one expert)")
    if isinstance(guidance, list) and guidance[0] <= 1 < guidance[1]:
        allowed = "a first scale above 1, or none: the pipeline turns guidance off for both experts by the first"
        raise not_allowed("guidance", guidance, allowed)


# What a setting that is not neutral allows of others. With hooks on every layer a compiled block would break into
# pieces, what lies in memory in a layout or a type of its own would be copied as if it were plain, and each of several
# GPUs would wait at each layer for the slowest copy of all. A cache decides by a GPU's own part of the tokens, so that
# several might decide differently and wait forever. TorchAO's products by row take bfloat16. The rest was never tried.
_UNHOOKED = {"offload": ("none", "model")}
_UNTRIED = {"cache": ("none",), "gpus": (1,), "lora": (None,), "lora_low_noise": (None,)}
NEEDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "compile": _UNHOOKED | {"layerwise_casting": ("none",)},
    "vae_memory_format": _UNHOOKED,
    "quantization": _UNHOOKED | _UNTRIED | {"dtype": ("bfloat16",), "layerwise_casting": ("none",)},
    "layerwise_casting": _UNTRIED | {"offload": ("none", "model", "group")},
    "gpus": _UNHOOKED | {"attention": PARALLEL_ATTENTION, "cache": ("none",)},
}


def _check_beside(settings: Settings, key: str) -> None:
    for other, needs in NEEDS.items():
        value, allowed = settings.get(other), needs.get(key)
        if allowed and value not in (None, SETTINGS[other].neutral) and settings[key] not in allowed:
            texts = ["none" if each is None else str(each) for each in allowed]
            raise not_allowed(key, settings[key], f"{', '.join(texts)} with {other}: {value}")


def _check_lora(settings: Settings, key: str) -> None:
    if settings[key] is None or hub_file(settings[key]):
        return
    try:
        tensors_of(named_path(settings[key]))
    except InputError as error:
        problem = f"is not allowed: {one_line(str(error), 300)}; allowed: a whole .safetensors file"
        raise InputError(f"{key}: {shown(settings[key])} {problem}") from None


def _check_lora_weight(settings: Settings) -> None:
    if settings["lora_weight"] != 1 and settings["lora"] is None and settings["lora_low_noise"] is None:
        raise InputError(f"lora_weight: {shown(settings['lora_weight'])} has no effect here; allowed: with lora")


def _check_image(settings: Settings) -> None:
    image = settings["image"]
    if settings["task"] == "i2v" and image is None:
        raise InputError("image is missing; allowed: path of a PNG, JPEG or WebP file (task: i2v)")
    if image is not None and (problem := problem_of_image(named_path(image))):
        raise InputError(f"image: {shown(image)} {problem}; allowed: a PNG, JPEG or WebP file")


def _check_gpus(settings: Settings) -> None:
    """Context parallelism (Ulysses) gives each GPU an equal part of the tokens, and in attention of the heads.

    What else it cannot do, it finds out in the middle of a step, or never.
    """
    gpus = settings["gpus"]
    if gpus == 1:
        return
    model, size, heads = settings["model"], settings["size"], _attention_heads(settings)
    count = tokens(MODELS[model], settings["frames"], *map(int, size.split("*")))
    if heads % gpus or count % gpus:
        allowed = ", ".join(str(n) for n in range(1, heads + 1) if not heads % n and not count % n)
        reason = f"the {heads} attention heads and the {count} tokens must be divisible by it"
        raise not_allowed("gpus", gpus, f"{allowed} ({model} at {size}: {reason})")


def _attention_heads(settings: Settings) -> int:
    """Heads of the denoiser: of a checkpoint folder what it says itself, else those of the published model."""
    checkpoint = settings["checkpoint"] or ""
    file = named_path(checkpoint) / "transformer/config.json"
    if not checkpoint or not file.is_file():
        scale = settings["scale"] or scale_written(checkpoint) or "full"
        file = ARCHITECTURES / scale / settings["model"] / "transformer/config.json"
    heads = json.loads(file.read_text("utf-8")).get("num_attention_heads")
    # As diffusers reads a configuration that does not say.
    return heads if isinstance(heads, int) and heads > 0 else 40


# Each raises InputError, whose message begins with the key. In this order: what one refuses, the later ones do not
# know.
CHECKS: tuple[tuple[str, Callable[[Settings], None]], ...] = (
    ("task", _check_task),
    ("size", _check_size),
    ("frames", _check_frames),
    ("guidance", _check_guidance),
    *((key, partial(_check_lora, key=key)) for key in ("lora", "lora_low_noise")),
    ("lora_weight", _check_lora_weight),
    ("image", _check_image),
    *((key, partial(_check_beside, key=key)) for key in dict.fromkeys(chain(*NEEDS.values()))),
    ("gpus", _check_gpus),
)
