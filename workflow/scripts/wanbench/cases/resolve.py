"""From the sections of a grid file to resolved, checked cases."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wanbench.cases.case import Case
from wanbench.cases.checkpoint_folder import check_checkpoint
from wanbench.cases.checks import CHECKS, CONDITIONS
from wanbench.cases.grid import expand_grid
from wanbench.cases.scale import scale_written
from wanbench.cases.schema import check, faults_of, not_allowed, shown
from wanbench.models.facts import DEFAULT_NEGATIVE_PROMPT, DEFAULT_PROMPT, MODELS, ModelFacts
from wanbench.util.digests import checkpoint_digest, sha256_of_file
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path

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


@dataclass(frozen=True)
class _Written:
    """A case as it is written: a name, its settings, and the keys whose values are known to be faulty."""

    name: str
    settings: dict[str, Any]
    faulty: frozenset[str]


@dataclass(frozen=True)
class _Read:
    """A grid file as it is written, with what its form alone shows to be wrong, one sentence each."""

    written: list[_Written]
    defaults: dict[str, Any]
    faulty_defaults: frozenset[str]
    faults: list[str]


class _Faults(Exception):
    """What is wrong with a case, beside the faulty keys that were known before: perhaps nothing."""

    def __init__(self, sentences: list[str]) -> None:
        self.sentences = sentences


def resolve_cases(content: dict[str, Any], file: str) -> list[Case]:
    """All cases of a grid file, `cases` first, then `grid`, each with every key filled in.

    Args:
        content: the file as parsed.
        file: the file's name, for messages.

    Raises:
        InputError: all that is not allowed, one line each.
    """
    read = _read(content, file)
    faults = list(read.faults)
    digests = _Digests(cache(sha256_of_file), cache(checkpoint_digest))
    cases: list[Case] = []
    for case in read.written:
        faulty_keys = case.faulty | read.faulty_defaults.difference(case.settings)
        try:
            cases.append(_resolve(case, read.defaults, faulty_keys, digests, f"{file}: case {case.name!r}"))
        except _Faults as error:
            faults += error.sentences
    if faults:
        raise InputError("\n".join(faults))
    return cases


def case_names(content: dict[str, Any], file: str) -> list[str]:
    """Names of all cases of a grid file whose images and checkpoints may be elsewhere.

    Args:
        content: the file as parsed.
        file: the file's name, for messages.

    Raises:
        InputError: what is wrong with the file's form, one line each. Files that settings name are not looked for.
    """
    read = _read(content, file)
    if read.faults:
        raise InputError("\n".join(read.faults))
    return [case.name for case in read.written]


def _read(content: dict[str, Any], file: str) -> _Read:
    """The cases of a grid file as they are written.

    Raises:
        InputError: as of `resolve_cases`, where no case can be known or there is none.
    """
    found = faults_of(content, file)
    faults = [fault.sentence for fault in found]
    faulty = {fault.path for fault in found}
    if {(), ("defaults",)} & faulty:
        raise InputError("\n".join(faults))
    defaults, faulty_defaults = _sound(content.get("defaults"), ("defaults",), faulty)
    written = _written_cases(content, faulty) if ("cases",) not in faulty else []
    if content.get("grid") and not any(path[0] == "grid" for path in faulty):
        try:
            written += _grid_cases(content["grid"], {case.name for case in written}, file)
        except InputError as error:
            faults.append(str(error))
    if not written and not faults:
        raise InputError(f"{file}: no cases; allowed: at least one under cases, or a grid that is not all excluded")
    return _Read(written, defaults, faulty_defaults, faults)


def _written_cases(content: dict[str, Any], faulty: set[tuple[Any, ...]]) -> list[_Written]:
    """Those whose name and form are no faults."""
    cases = (content.get("cases") or {}).items()
    return [
        _Written(name, *_sound(settings, ("cases", name), faulty))
        for name, settings in cases
        if ("cases", name) not in faulty
    ]


def _grid_cases(grid: dict[str, Any], taken: set[str], file: str) -> list[_Written]:
    cases = expand_grid(grid, f"{file}: grid")
    for name in cases:
        check(name, f"{file}: grid: name", "case_name")
        if name in taken:
            raise InputError(f"{file}: case {name!r} stands in cases and comes out of grid; names must differ")
    return [_Written(name, settings, frozenset()) for name, settings in cases.items()]


def _sound(
    settings: dict[str, Any] | None, path: tuple[Any, ...], faulty: set[tuple[Any, ...]]
) -> tuple[dict[str, Any], frozenset[str]]:
    """Settings without those that are faults, and the keys of these."""
    settings = settings or {}
    if not faulty:
        return settings, frozenset()
    depth = len(path)
    keys = frozenset(other[depth] for other in faulty if other[:depth] == path and len(other) > depth)
    return {key: value for key, value in settings.items() if key not in keys}, keys


def _resolve(
    case: _Written, defaults: dict[str, Any], faulty_keys: frozenset[str], digests: _Digests, where: str
) -> Case:
    given = {key: value for key, value in (defaults | case.settings).items() if key not in faulty_keys}
    faulty, faults = set(faulty_keys), []
    if "model" not in given and "model" not in faulty:
        faults.append(f"{where}: model is missing; allowed: {', '.join(MODELS)}")
        faulty.add("model")
    # Where the model is not known, nothing looks at what one fills in.
    facts = MODELS[given.get("model", next(iter(MODELS)))]
    settings = _COMMON_DEFAULTS | _model_defaults(facts) | given
    settings |= dict.fromkeys(faulty.intersection(settings))
    faults += _drop_inapplicable(settings, case.settings, faulty, where)
    for each in CHECKS:
        if faulty.isdisjoint((each.about, *each.needs)):
            try:
                each.run(settings, facts, where)
            except InputError as error:
                faults.append(str(error))
                faulty.add(each.about)
                settings[each.about] = None
    origin: dict[str, str | None] = {}
    if faulty.isdisjoint(("model", "weights", "checkpoint", "revision")):
        try:
            origin = _checkpoint(settings, facts, digests, where)
        except InputError as error:
            faults.append(str(error))
    if faults or faulty:
        raise _Faults(faults)
    guidance = settings["guidance"]
    scales = guidance if isinstance(guidance, list) else [guidance] * len(facts.guidance)
    settings["guidance"] = tuple(float(scale) for scale in scales)
    # One type each, since 5 and 5.0 are the same setting and must not run a case again.
    reals = ("shift", "timeout_s", "cache_threshold")
    settings |= {key: float(settings[key]) for key in reals if settings[key] is not None}
    # Written so that the report can rely on it: official sizes are never marked as unofficial.
    settings["unofficial_size"] = settings["size"] not in facts.sizes
    return Case(name=case.name, **settings | _image(settings, digests) | origin)


def _model_defaults(facts: ModelFacts) -> dict[str, Any]:
    return {
        "task": facts.tasks[0],
        "size": facts.sizes[0],
        "frames": facts.frames,
        "steps": facts.steps,
        "guidance": list(facts.guidance),
        "shift": facts.shift,
    }


def _drop_inapplicable(settings: dict[str, Any], own: dict[str, Any], faulty: set[str], where: str) -> list[str]:
    """A key without effect is an error in a case, and passed over where it comes from the defaults.

    Where it cannot be known whether a key has an effect, it counts as faulty too.
    """
    faults = []
    for condition in CONDITIONS:
        key = condition.key
        if condition.decided_by in faulty:
            faulty.add(key)
        elif condition.applies(settings[condition.decided_by]):
            continue
        elif key in own:
            allowed = f"only with {condition.only_with}"
            faults.append(f"{where}: {key}: {shown(own[key])} has no effect here; allowed: {allowed}")
        settings[key] = None
    return faults


def _image(settings: dict[str, Any], digests: _Digests) -> dict[str, str | None]:
    image = settings["image"]
    return {"image_sha256": None if image is None else digests.file(named_path(image))}


def _checkpoint(settings: dict[str, Any], facts: ModelFacts, digests: _Digests, where: str) -> dict[str, str | None]:
    if settings["weights"] == "random":
        return {"checkpoint": None, "revision": None, "checkpoint_sha256": None}
    checkpoint = settings.get("checkpoint") or facts.hub_id
    revision = settings.get("revision")
    folder = named_path(checkpoint)
    if folder.is_dir():
        check_checkpoint(folder, f"{where}: checkpoint: {shown(checkpoint)}")
        if revision is not None:
            raise not_allowed(where, "revision", revision, "none for a folder; only a hub id has revisions")
        return {"checkpoint": checkpoint, "revision": None, "checkpoint_sha256": digests.folder(folder)}
    if scale_written(checkpoint):
        # Other cases of the grid do not need it, nor does the rule that writes it.
        return {"checkpoint": checkpoint, "revision": None, "checkpoint_sha256": None}
    if not _HUB_ID.fullmatch(checkpoint):
        raise not_allowed(where, "checkpoint", checkpoint, f"a folder that exists, or a hub id such as {facts.hub_id}")
    if revision is None and checkpoint == facts.hub_id:
        revision = facts.revision
    if revision is None:
        raise InputError(
            f"{where}: checkpoint: {shown(checkpoint)} is no folder here, and as a hub id it lacks its revision; "
            "allowed: a folder that exists, or a hub id with a revision (a commit, 40 hex digits)"
        )
    return {"checkpoint": checkpoint, "revision": revision, "checkpoint_sha256": None}
