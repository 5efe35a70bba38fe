"""What one generation takes: the first of a process, which is cold, and those after it, which are warm.

Whether figures are made of a generation, `judged` decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wanbench.trace import names
from wanbench.trace.reader import StageRecord

# Stages shorter than the sampling interval have no sampled values. A sum over less of the time is not the whole.
_MIN_SHARE_OF_TIME = 0.99


@dataclass(frozen=True)
class Generation:
    """The stages of a generation that ran to its end.

    Attributes:
        number: from 0, in the order of the process.
        counted: figures are made of it.
    """

    number: int
    counted: bool
    stages: tuple[StageRecord, ...]

    @property
    def time_s(self) -> float:
        """From the pipeline's call to the video file, without what lies between stages."""
        return sum(stage.measures["time_s"] for stage in self.stages)

    @property
    def energy_j(self) -> float | None:
        return energy_of(self.stages)

    def without_compilation(self) -> "Generation":
        return replace(self, stages=tuple(stage for stage in self.stages if stage.name != names.COMPILATION))


def energy_of(stages: Sequence[StageRecord]) -> float | None:
    """Energy of the stages that have it, in joules; None where they are less than 99 % of the time."""
    return sum_of(stages, "energy_j")


def sum_of(stages: Sequence[StageRecord], measure: str) -> float | None:
    """Sum over the stages that have a measure; None where they are less than 99 % of the time."""
    known = [stage.measures for stage in stages if stage.measures.get(measure) is not None]
    time_s = sum(stage.measures["time_s"] for stage in stages)
    if not known or sum(stage["time_s"] for stage in known) < _MIN_SHARE_OF_TIME * time_s:
        return None
    return sum(stage[measure] for stage in known)


def generations_of(stages: Iterable[StageRecord]) -> list[Generation]:
    """All generations that ran to their end and are not left out, in order."""
    by_number: dict[int, list[StageRecord]] = {}
    for stage in stages:
        if stage.generation is not None and stage.left_out is None:
            by_number.setdefault(stage.generation, []).append(stage)
    return [
        Generation(number, parts[0].counted, tuple(parts))
        for number, parts in sorted(by_number.items())
        if any(part.name == names.VIDEO_EXPORT and not part.measures.get("interrupted") for part in parts)
    ]


def cold(generations: Sequence[Generation]) -> list[Generation]:
    """The first of the process, whether or not it is a warm-up; none where it is left out."""
    return [generation for generation in generations if generation.number == 0]


def warm(generations: Sequence[Generation]) -> list[Generation]:
    """Those that count after the first of the process."""
    return [generation for generation in generations if generation.number > 0 and generation.counted]


def kind_of(stage: StageRecord, warmup: int) -> str:
    """What the generation of a stage is that does not count; empty for one that does, and for a stage of none.

    Args:
        warmup: number of generations that warm up.
    """
    if stage.counted or stage.generation is None:
        return ""
    if stage.left_out:
        return "left out"
    if stage.generation < warmup:
        return "warm-up"
    return "cold" if stage.generation == 0 else "cut short"
