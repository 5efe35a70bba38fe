"""From the sections of a grid file to resolved, checked cases."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wanbench.cases.case import Case
from wanbench.cases.checkpoint import check_checkpoint
from wanbench.cases.grid import expand_grid
from wanbench.cases.images import check_image
from wanbench.cases.parallel import check_gpus
from wanbench.cases.schema import check, not_allowed, shown
from wanbench.digests import checkpoint_digest, sha256_of_file
from wanbench.errors import InputError
from wanbench.models import DEFAULT_NEGATIVE_PROMPT, DEFAULT_PROMPT, MODELS, ModelFacts

# Settings that every model shares; what a model fixes itself comes from MODELS.
_COMMON_DEFAULTS: dict[str, Any] = {
    "weights": "random",
    "scale": "full",
    "unofficial_size": False,
    "seed": 42,
    "prompt": DEFAULT_PROMPT,
    "negative_prompt": DEFAULT_NEGATIVE_PROMPT,
    "offload": "none",
    "dtype": "bfloat16",
    "vae_dtype": "float32",
    "vae_tiling": False,
    "attention": "native",
    "compile": "none",
    "cache": "none",
    "cache_threshold": 0.05,
    "gpus": 1,
    "warmup": 0,
    "repeats": 1,
    "timeout_s": 14400,
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class _Digests:
    """SHA-256 of a file and of a checkpoint folder, each read once, however many cases use it."""

    file: Callable[[Path], str]
    folder: Callable[[Path], str]


def resolve_cases(content: dict[str, Any], file: str) -> list[Case]:
    """All cases of a grid file, `cases` first, then `grid`, each with every key filled in.

    Args:
        content: the file as parsed.
        file: the file's name, for messages.

    Raises:
        InputError: anything that is not allowed, one line each.
    """
    check(content, file)
    defaults = content.get("defaults") or {}
    written = dict(content.get("cases") or {})
    if content.get("grid"):
        for name, settings in expand_grid(content["grid"], f"{file}: grid").items():
            check(name, f"{file}: grid: name", "case_name")
            if name in written:
                raise InputError(f"{file}: case {name!r} stands in cases and comes out of grid; names must differ")
            written[name] = settings
    if not written:
        raise InputError(f"{file}: no cases; allowed: at least one under cases, or a grid that is not all excluded")
    digests = _Digests(cache(sha256_of_file), cache(checkpoint_digest))
    faults: list[str] = []
    cases: list[Case] = []
    for name, settings in written.items():
        try:
            cases.append(_resolve(name, settings, defaults, digests, f"{file}: case {name!r}"))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join(faults))
    return cases


def _resolve(name: str, own: dict[str, Any], defaults: dict[str, Any], digests: _Digests, where: str) -> Case:
    given = defaults | own
    if "model" not in given:
        raise InputError(f"{where}: model is missing; allowed: {', '.join(MODELS)}")
    facts = MODELS[given["model"]]
    settings = _COMMON_DEFAULTS | _model_defaults(facts) | given
    _drop_inapplicable(settings, own, where)
    _check_task(settings, facts, where)
    _check_size(settings, facts, where)
    _check_compile(settings, where)
    if settings["frames"] % 4 != 1:
        near = (settings["frames"] - 1) // 4 * 4 + 1
        raise not_allowed(where, "frames", settings["frames"], f"4k+1, such as {near} and {near + 4}")
    check_gpus(settings, facts, where)
    guidance = settings["guidance"]
    scales = guidance if isinstance(guidance, list) else [guidance] * len(facts.guidance)
    settings["guidance"] = tuple(float(scale) for scale in scales)
    # One type each, since 5 and 5.0 are the same setting and must not run a case again.
    reals = ("shift", "timeout_s", "cache_threshold")
    settings |= {key: float(settings[key]) for key in reals if settings[key] is not None}
    if len(settings["guidance"]) != len(facts.guidance):
        raise not_allowed(where, "guidance", guidance, f"one number ({settings['model']} has one expert)")
    return Case(name=name, **settings | _image(settings, digests, where) | _checkpoint(settings, facts, digests, where))


def _model_defaults(facts: ModelFacts) -> dict[str, Any]:
    return {
        "task": facts.tasks[0],
        "size": facts.sizes[0],
        "frames": facts.frames,
        "steps": facts.steps,
        "guidance": list(facts.guidance),
        "shift": facts.shift,
    }


def _drop_inapplicable(settings: dict[str, Any], own: dict[str, Any], where: str) -> None:
    """A key without effect is an error in a case, and passed over where it comes from the defaults."""
    reasons: dict[str, str] = {}
    if settings["task"] != "i2v":
        reasons["image"] = "task: i2v"
    if settings["weights"] == "pretrained":
        reasons["scale"] = "weights: random (a checkpoint brings its own size)"
    else:
        reasons |= dict.fromkeys(("checkpoint", "revision"), "weights: pretrained")
    if settings["cache"] == "none":
        reasons["cache_threshold"] = "a cache"
    for key, needs in reasons.items():
        if key in own:
            raise InputError(f"{where}: {key}: {shown(own[key])} has no effect here; allowed: only with {needs}")
        settings[key] = None


def _check_task(settings: dict[str, Any], facts: ModelFacts, where: str) -> None:
    if settings["task"] not in facts.tasks:
        raise not_allowed(where, "task", settings["task"], f"{', '.join(facts.tasks)} ({settings['model']})")


def _check_size(settings: dict[str, Any], facts: ModelFacts, where: str) -> None:
    size, model, step = settings["size"], settings["model"], facts.size_multiple
    if size in facts.sizes:
        # Written so that the report can rely on it: official sizes are never marked as unofficial.
        settings["unofficial_size"] = False
        return
    width_px, height_px = (int(part) for part in size.split("*"))
    official = f"{', '.join(facts.sizes)} ({model})"
    if width_px % step or height_px % step:
        condition = "" if settings["unofficial_size"] else "with unofficial_size: true "
        raise not_allowed(where, "size", size, f"{official}, or {condition}multiples of {step}")
    if not settings["unofficial_size"]:
        raise not_allowed(where, "size", size, f"{official}; {model} can take it with unofficial_size: true")


def _check_compile(settings: dict[str, Any], where: str) -> None:
    """Hooks on every layer would break each compiled block into pieces, and compile it again for each."""
    if settings["compile"] != "none" and settings["offload"] not in ("none", "model"):
        raise not_allowed(where, "compile", settings["compile"], f"none with offload: {settings['offload']}")


def _image(settings: dict[str, Any], digests: _Digests, where: str) -> dict[str, str | None]:
    if settings["task"] != "i2v":
        return {"image": None, "image_sha256": None}
    if settings.get("image") is None:
        raise InputError(f"{where}: image is missing; allowed: path of a PNG, JPEG or WebP file (task: i2v)")
    path = Path(settings["image"]).expanduser()
    check_image(path, f"{where}: image: {shown(settings['image'])}")
    return {"image_sha256": digests.file(path)}


def _checkpoint(settings: dict[str, Any], facts: ModelFacts, digests: _Digests, where: str) -> dict[str, str | None]:
    if settings["weights"] == "random":
        return {"checkpoint": None, "revision": None, "checkpoint_sha256": None}
    checkpoint = settings.get("checkpoint") or facts.hub_id
    revision = settings.get("revision")
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        check_checkpoint(folder, f"{where}: checkpoint: {shown(checkpoint)}")
        if revision is not None:
            raise not_allowed(where, "revision", revision, "none for a folder; only a hub id has revisions")
        return {"checkpoint": checkpoint, "revision": None, "checkpoint_sha256": digests.folder(folder)}
    if not _HUB_ID.fullmatch(checkpoint):
        raise not_allowed(where, "checkpoint", checkpoint, f"an existing folder, or a hub id such as {facts.hub_id}")
    if revision is None and checkpoint == facts.hub_id:
        revision = facts.revision
    if revision is None:
        raise not_allowed(
            where, "revision", None, f"a commit of the hub's {checkpoint} (there is no such folder), 40 hex digits"
        )
    return {"checkpoint": checkpoint, "revision": revision, "checkpoint_sha256": None}
