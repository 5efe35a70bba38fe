"""What the settings of a case must be beside valid by themselves.

A check asks for settings only as `Settings` has them: what depends on one that is wrong is not checked, since a mistake
that is only one because of another is none. So all mistakes of a case are reported together.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from wanbench.cases.scale import is_published
from wanbench.cases.schema import not_allowed, shown
from wanbench.cases.several_gpus import WITH_SEVERAL_GPUS, check_gpus
from wanbench.models.facts import MODELS, ModelFacts
from wanbench.registry.settings import Setting
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path

# How a PNG, a JPEG and a WebP file begin, and after how many bytes.
_IMAGES = {b"\x89PNG\r\n\x1a\n": 0, b"\xff\xd8\xff": 0, b"WEBP": 8}


class Unknown(Exception):
    """Asked for a setting whose value is wrong or missing."""


class Settings(dict[str, Any]):
    """Settings of a case by key, but those that are wrong: to ask for one of these raises `Unknown`."""

    def __missing__(self, key: str) -> Any:
        raise Unknown(key)

    @property
    def facts(self) -> ModelFacts:
        return MODELS[self["model"]]


def check_effect(settings: Settings, where: str, row: Setting, own: dict[str, Any]) -> None:
    """Set a setting without effect to None, where it comes from the defaults of the file.

    Raises:
        InputError: the case names it itself.
    """
    if row.has_effect(settings):
        return
    if row.key in own:
        key, values = row.only_with
        allowed = f"only with {key}: {' or '.join(values)}"
        raise InputError(f"{where}: {row.key}: {shown(own[row.key])} has no effect here; allowed: {allowed}")
    if row.key == "scale" and settings["scale"] == "tiny" and is_published(settings["checkpoint"]):
        raise InputError(
            f"{where}: weights: pretrained loads {settings['checkpoint']} at full size, and defaults say scale: tiny; "
            "allowed: weights: random, a local folder as checkpoint, or no scale in defaults"
        )
    settings[row.key] = None


def _check_task(settings: Settings, where: str) -> None:
    tasks = settings.facts.tasks
    if settings["task"] not in tasks:
        raise not_allowed(where, "task", settings["task"], f"{', '.join(tasks)} ({settings['model']})")


def _check_size(settings: Settings, where: str) -> None:
    size, unofficial, facts = settings["size"], settings["unofficial_size"], settings.facts
    if size in facts.sizes:
        return
    official, step = f"{', '.join(facts.sizes)} ({settings['model']})", facts.size_multiple
    wrong = [side for side in map(int, size.split("*")) if side % step]
    if wrong:
        near = ", and ".join(
            f"{side} is no multiple of {step}; nearest {max(step, round(side / step) * step)}" for side in wrong
        )
        condition = "" if unofficial else "with unofficial_size: true "
        raise not_allowed(where, "size", size, f"{official}, or {condition}multiples of {step}", f" ({near})")
    if not unofficial:
        can = f"{official}; {settings['model']} can take it with unofficial_size: true"
        raise not_allowed(where, "size", size, can)


def _check_frames(settings: Settings, where: str) -> None:
    frames = settings["frames"]
    if frames % 4 != 1:
        near = (frames - 1) // 4 * 4 + 1
        raise not_allowed(where, "frames", frames, f"4k+1, such as {near} and {near + 4}")


def _check_guidance(settings: Settings, where: str) -> None:
    guidance = settings["guidance"]
    if isinstance(guidance, list) and len(guidance) != len(settings.facts.guidance):
        raise not_allowed(where, "guidance", guidance, f"one number ({settings['model']} has one expert)")
    if isinstance(guidance, list) and guidance[0] <= 1 < guidance[1]:
        allowed = "a first scale above 1, or none: the pipeline turns guidance off for both experts by the first"
        raise not_allowed(where, "guidance", guidance, allowed)


def _check_compile(settings: Settings, where: str) -> None:
    """Hooks on every layer would break each compiled block into pieces, and compile it again for each."""
    if settings["compile"] != "none" and settings["offload"] not in ("none", "model"):
        raise not_allowed(where, "compile", settings["compile"], f"none with offload: {settings['offload']}")


def _check_image(settings: Settings, where: str) -> None:
    image = settings["image"]
    if settings["task"] == "i2v" and image is None:
        raise InputError(f"{where}: image is missing; allowed: path of a PNG, JPEG or WebP file (task: i2v)")
    if image is None:
        return
    allowed = "allowed: a PNG, JPEG or WebP file"
    try:
        with named_path(image).open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{where}: image: {shown(image)} cannot be read: {error.strerror}; {allowed}") from None
    if not any(head[offset:].startswith(signature) for signature, offset in _IMAGES.items()):
        raise InputError(f"{where}: image: {shown(image)} is not an image; {allowed}")


def _check_beside_gpus(settings: Settings, where: str, key: str) -> None:
    value, gpus, allowed = settings[key], settings["gpus"], WITH_SEVERAL_GPUS[key]
    if gpus > 1 and value not in allowed:
        raise not_allowed(where, key, value, f"{', '.join(allowed)} with gpus: {gpus}")


# By the key that an error is about, each of which raises InputError. In this order: what one refuses, the later ones do
# not know.
CHECKS: dict[str, Callable[[Settings, str], None]] = {
    "task": _check_task,
    "size": _check_size,
    "frames": _check_frames,
    "guidance": _check_guidance,
    "compile": _check_compile,
    "image": _check_image,
    **{key: partial(_check_beside_gpus, key=key) for key in WITH_SEVERAL_GPUS},
    "gpus": check_gpus,
}
