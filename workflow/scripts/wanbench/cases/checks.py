"""What the settings of a case must be beside valid by themselves, each told apart from the others.

A check is made where the settings that it looks at are no faults themselves: what is only wrong because of another
mistake is none. So all mistakes of a case can be said at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from wanbench.cases.images import check_image
from wanbench.cases.schema import not_allowed, shown
from wanbench.cases.several_gpus import check_beside_gpus, check_gpus
from wanbench.models.facts import ModelFacts
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path

Settings = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One check, which raises `InputError`.

    Attributes:
        about: the key that a fault is of.
        needs: other keys that it looks at, and that must be no faults.
        run: takes settings, facts of the model and the beginning of the message.
    """

    about: str
    needs: tuple[str, ...]
    run: Callable[[Settings, ModelFacts, str], None]


@dataclass(frozen=True)
class Condition:
    """A key that has an effect only where another one has certain values; `only_with` names these in words."""

    key: str
    decided_by: str
    applies: Callable[[Any], bool]
    only_with: str


CONDITIONS = (
    Condition("image", "task", lambda task: task == "i2v", "task: i2v"),
    Condition("scale", "weights", lambda of: of == "random", "weights: random (a checkpoint brings its own size)"),
    Condition("checkpoint", "weights", lambda of: of == "pretrained", "weights: pretrained"),
    Condition("revision", "weights", lambda of: of == "pretrained", "weights: pretrained"),
    Condition("cache_threshold", "cache", lambda cache: cache != "none", "a cache"),
)


def _check_task(settings: Settings, facts: ModelFacts, where: str) -> None:
    if settings["task"] not in facts.tasks:
        raise not_allowed(where, "task", settings["task"], f"{', '.join(facts.tasks)} ({settings['model']})")


def _check_size(settings: Settings, facts: ModelFacts, where: str) -> None:
    size, model, step = settings["size"], settings["model"], facts.size_multiple
    if size in facts.sizes:
        return
    official = f"{', '.join(facts.sizes)} ({model})"
    wrong = [side for side in map(int, size.split("*")) if side % step]
    if wrong:
        near = ", and ".join(_no_multiple(side, step) for side in wrong)
        condition = "" if settings["unofficial_size"] else "with unofficial_size: true "
        allowed = f"{official}, or {condition}multiples of {step}"
        raise InputError(f"{where}: size: {shown(size)} is not allowed ({near}); allowed: {allowed}")
    if not settings["unofficial_size"]:
        raise not_allowed(where, "size", size, f"{official}; {model} can take it with unofficial_size: true")


def _no_multiple(side: int, step: int) -> str:
    return f"{side} is no multiple of {step}; nearest {max(step, round(side / step) * step)}"


def _check_frames(settings: Settings, facts: ModelFacts, where: str) -> None:
    if settings["frames"] % 4 != 1:
        near = (settings["frames"] - 1) // 4 * 4 + 1
        raise not_allowed(where, "frames", settings["frames"], f"4k+1, such as {near} and {near + 4}")


def _check_guidance(settings: Settings, facts: ModelFacts, where: str) -> None:
    guidance = settings["guidance"]
    if isinstance(guidance, list) and len(guidance) != len(facts.guidance):
        raise not_allowed(where, "guidance", guidance, f"one number ({settings['model']} has one expert)")


def _check_compile(settings: Settings, facts: ModelFacts, where: str) -> None:
    """Hooks on every layer would break each compiled block into pieces, and compile it again for each."""
    if settings["compile"] != "none" and settings["offload"] not in ("none", "model"):
        raise not_allowed(where, "compile", settings["compile"], f"none with offload: {settings['offload']}")


def _check_image(settings: Settings, facts: ModelFacts, where: str) -> None:
    if settings["task"] != "i2v":
        return
    if settings.get("image") is None:
        raise InputError(f"{where}: image is missing; allowed: path of a PNG, JPEG or WebP file (task: i2v)")
    check_image(named_path(settings["image"]), f"{where}: image: {shown(settings['image'])}")


def _beside_gpus(key: str, settings: Settings, facts: ModelFacts, where: str) -> None:
    check_beside_gpus(key, settings, where)


# In this order: one that comes later may leave out what an earlier one refused.
CHECKS = (
    Check("task", ("model",), _check_task),
    Check("size", ("model", "unofficial_size"), _check_size),
    Check("frames", (), _check_frames),
    Check("guidance", ("model",), _check_guidance),
    Check("compile", ("offload",), _check_compile),
    Check("image", ("task",), _check_image),
    *(Check(key, ("gpus",), partial(_beside_gpus, key)) for key in ("offload", "attention", "cache")),
    # Not size and frames, without which it looks at the rest.
    Check("gpus", ("model", "weights", "scale", "checkpoint"), check_gpus),
)
