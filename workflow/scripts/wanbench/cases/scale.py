"""Of which scale a case is: a published model, which no CPU gets through, or a tiny one.

Answered before any weights are made or downloaded.
"""

import re
from dataclasses import replace
from functools import cache

from wanbench.cases.case import Case
from wanbench.models.facts import MODELS
from wanbench.util.paths import named_path

# Weights of a checkpoint that is none of a tiny model: the least published one has 34e9, those made for tests some 1e6.
LEAST_FULL_BYTES = 1_000_000_000
_WRITTEN = re.compile(rf"results/checkpoints/(full|tiny)/({'|'.join(MODELS)})")


def scale_written(checkpoint: str) -> str | None:
    """The scale, full or tiny, of a folder that rule checkpoint writes, be it there or not; None of any other."""
    written = _WRITTEN.fullmatch(checkpoint)
    return written[1] if written else None


def is_published(checkpoint: str) -> bool:
    """Whether it is a hub id, and no folder here."""
    return not scale_written(checkpoint) and not named_path(checkpoint).is_dir()


def is_full_scale(case: Case) -> bool:
    """Whether its model is as large as a published one; a local folder is judged by the size of its weights."""
    if case.checkpoint is None:
        return case.scale == "full"
    if case.needs_writing:
        return scale_written(case.checkpoint) == "full"
    # Of a hub id nothing is here to look at. That takes one of a tiny model for a full one.
    return case.checkpoint_sha256 is None or _weights_bytes(case.checkpoint) >= LEAST_FULL_BYTES


def as_sized(case: Case) -> Case:
    """The case as estimates are to take it: a checkpoint of a tiny model needs as little as one of random weights."""
    return case if is_full_scale(case) else replace(case, scale="tiny")


# A grid of many cases may name one folder.
@cache
def _weights_bytes(folder: str) -> int:
    return sum(file.stat().st_size for file in named_path(folder).rglob("*.safetensors"))
