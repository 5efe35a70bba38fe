"""What `snakemake tune` is asked for: keys of a case, which all trials have, and limits."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from wanbench.cases.resolve import resolve_cases
from wanbench.cases.schema import check, nearest, not_allowed
from wanbench.registry.settings import DERIVED, PLACE, ROWS, keys
from wanbench.util.digests import value_digest
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path

# Enough for two typical steps beside the first and the switch of A14B's experts.
STEPS = 4
# The first, and one that is typical of the others beside that switch.
_LEAST_STEPS = 3
_WHERE = "--config"
_TRUTH = {"true": True, "false": False}
_NAMED = ("model", "task", "size")
_CASE_KEYS = tuple(row.key for row in ROWS if row.role != DERIVED)
_LIMITS = ("max_latent_error", "min_psnr", "host_memory_gb", "max_first_video_s", "budget_min")


@dataclass(frozen=True)
class Goal:
    """What is looked for.

    Attributes:
        fixed: keys of a case that were given, and are the same in all trials.
        max_latent_error, min_psnr (in dB): what may be lost of the video; None for no limit. Without both, nothing.
        host_memory_gb: of the case's processes, in 1e9 bytes.
        max_first_video_s: from the start of the process to the end of its first video.
        budget_min: within so many minutes the best so far is found and confirmed.
    """

    name: str
    fixed: dict[str, Any]
    max_latent_error: float | None = None
    min_psnr: float | None = None
    host_memory_gb: float | None = None
    max_first_video_s: float | None = None
    budget_min: float | None = None

    @property
    def trial(self) -> dict[str, Any]:
        """Keys of a case that all trials have."""
        return {"steps": STEPS} | self.fixed

    @property
    def allows_loss(self) -> bool:
        return self.max_latent_error is not None or self.min_psnr is not None


def goal_of(options: Mapping[str, Any]) -> Goal:
    """The goal of the options of --config.

    Raises:
        InputError: an unknown key, or a value that is not allowed.
    """
    allowed = (*_CASE_KEYS, *_LIMITS, "name")
    for key in options:
        if key not in allowed:
            raise InputError(f"{_WHERE}: unknown key {key!r}{nearest(key, allowed)}; allowed: {', '.join(allowed)}")
    limits = {key: _positive(key, options[key]) for key in _LIMITS if key in options}
    fixed = {key: _typed(options[key]) for key in _CASE_KEYS if key in options}
    # Trials run in a folder of their own.
    for key in (*keys(PLACE), "checkpoint"):
        if key in fixed and named_path(str(fixed[key])).exists():
            fixed[key] = str(named_path(str(fixed[key])).absolute())
    [case] = resolve_cases({"cases": {"tune": fixed}}, _WHERE)
    if fixed.get("steps", STEPS) < _LEAST_STEPS:
        raise not_allowed(f"{_WHERE}: steps", case.steps, f"from {_LEAST_STEPS}")
    if "max_first_video_s" in limits and case.warmup + case.repeats > 1:
        raise InputError(f"{_WHERE}: max_first_video_s is known of one video alone; leave out warmup and repeats")
    name = str(_name(fixed) if options.get("name") is None else options["name"])
    check(name, f"{_WHERE}: name", "case_name")
    return Goal(name, fixed, **limits)


def _typed(value: Any) -> Any:
    """As a grid file has it: Snakemake takes True for a truth value, and true, and numbers in a list, for texts."""
    if not isinstance(value, list):
        return _TRUTH.get(str(value), value)
    try:
        return [yaml.safe_load(str(each)) for each in value]
    except yaml.YAMLError:
        return value


def _positive(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise not_allowed(f"{_WHERE}: {key}", value, "a number above 0")
    return float(value)


def _name(fixed: Mapping[str, Any]) -> str:
    """Such as T2V-A14B_832x480_24GB; searches of other keys have other names."""
    parts = [str(fixed[key]).replace("*", "x") for key in _NAMED if key in fixed]
    others = {key: value for key, value in fixed.items() if key not in (*_NAMED, "gpu_memory_gb")}
    text = "_".join(f"{key}-{value}" for key, value in others.items())
    if others:
        parts.append(text if re.fullmatch(r"[\w.+-]{1,60}", text, re.ASCII) else value_digest(others))
    return "_".join([*parts, *([f"{fixed['gpu_memory_gb']:g}GB"] if "gpu_memory_gb" in fixed else [])])
