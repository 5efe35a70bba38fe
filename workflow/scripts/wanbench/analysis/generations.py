"""What one generation takes: the first of a process, which is cold, and those after it, which are warm.

Whether figures are made of a generation, `judged` decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wanbench.analysis.sums import energy_of
from wanbench.registry import stages as stage_names
from wanbench.trace.reader import Readings, StageRecord


@dataclass(frozen=True)
class Generation:
    """The stages of a generation that ran to its end.

    Attributes:
        number: from 0, in the order of the process.
        counted: figures are made of it.
        energy_counter: of the GPU, in joules; None where it was not sampled.
        taken_out: stages of it that figures are made without.
    """

    number: int
    measured: bool
    stages: tuple[StageRecord, ...]
    energy_counter: Readings | None = None
    taken_out: tuple[StageRecord, ...] = ()

    @property
    def time_s(self) -> float:
        """From the pipeline's call to the video file, without what lies between stages."""
        return sum(stage.measures["time_s"] for stage in self.stages)

    @property
    def energy_j(self) -> float | None:
        return energy_of(self.stages, self.energy_counter, self.taken_out)

    def without_compilation(self) -> "Generation":
        kept = tuple(stage for stage in self.stages if stage.name != stage_names.COMPILATION)
        compilation = tuple(stage for stage in self.stages if stage.name == stage_names.COMPILATION)
        return replace(self, stages=kept, taken_out=self.taken_out + compilation)


def generations_of(stages: Iterable[StageRecord], energy_counter: Readings | None = None) -> list[Generation]:
    """All generations that ran to their end and are not excluded, in order."""
    by_number: dict[int, list[StageRecord]] = {}
    for stage in stages:
        if stage.generation is not None and stage.excluded is None:
            by_number.setdefault(stage.generation, []).append(stage)
    return [
        Generation(number, parts[0].measured, tuple(parts), energy_counter)
        for number, parts in sorted(by_number.items())
        if any(part.name == stage_names.VIDEO_EXPORT and not part.measures.get("interrupted") for part in parts)
    ]


def cold(generations: Sequence[Generation]) -> list[Generation]:
    """The first of the process, whether or not it is a warm-up; none where it is excluded."""
    return [generation for generation in generations if generation.number == 0]


def warm(generations: Sequence[Generation]) -> list[Generation]:
    """Those that count after the first of the process."""
    return [generation for generation in generations if generation.number > 0 and generation.measured]


def kind_of(stage: StageRecord, warmup: int) -> str:
    """What the generation of a stage is that does not count; empty for one that does, and for a stage of none.

    Args:
        warmup: number of generations that warm up.
    """
    if stage.measured or stage.generation is None:
        return ""
    if stage.excluded:
        return "excluded"
    if stage.generation < warmup:
        return "warm-up"
    return "cold" if stage.generation == 0 else "cut short"
