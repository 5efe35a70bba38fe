"""Is a case of full scale, which no CPU gets through? Answered before any weights are made or downloaded."""

from dataclasses import replace
from functools import cache

from wanbench.cases.case import Case
from wanbench.checkpoint_scale import LEAST_FULL_BYTES, scale_written
from wanbench.named_files import named_path


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
