"""The stages of a trace as pieces of a time axis that do not overlap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wanbench.plots import style
from wanbench.plots.style import Look
from wanbench.registry import stages as stage_names
from wanbench.trace.reader import StageRecord

Interval = tuple[float, float]

# Times in a trace are rounded to microseconds; less than this is no piece.
_LEAST_S = 1e-4

_LOOKS = {
    stage_names.PROCESS_STARTUP: style.STARTUP,
    stage_names.MODEL_INITIALIZATION: style.INITIALISATION,
    stage_names.PREPROCESS: style.ENCODING,
    stage_names.TEXT_ENCODING: style.ENCODING,
    stage_names.COMPILATION: style.COMPILATION,
    stage_names.VAE_DECODING: style.DECODING,
    stage_names.VIDEO_EXPORT: style.EXPORT,
}
_EXPERTS = {"high_noise": style.HIGH_NOISE, "low_noise": style.LOW_NOISE}


@dataclass(frozen=True)
class Segment:
    """A piece of a stage, in seconds since the start of the process."""

    stage: str
    generation: int | None
    look: Look
    start_s: float
    end_s: float


def look_of(stage: str, expert: str | None = None) -> Look:
    """The fill of a leaf stage; experts look different only where `expert` is given."""
    index = stage_names.step_index(stage)
    if index is None:
        return _LOOKS[stage]
    return style.LOADING if stage == stage_names.step_loading(index) else _EXPERTS.get(expert or "", style.DENOISING)


def segments_of(stages: Sequence[StageRecord]) -> list[Segment]:
    """The leaf stages' own time, in the order of its beginning.

    A trace holds where each stage begins and ends, and how long its own time in between is, but not its pieces. So
    what lies inside another stage is drawn in one piece: loading from its first move, compilation where it began in
    each step, each as long as it took in all.
    """
    pieces: list[tuple[StageRecord, Interval]] = []
    taken: list[Interval] = []
    for inside in (_compilation(stages), _inner(stages), _outer(stages)):
        found = [(stage, part) for stage, whole in inside for part in _subtract(whole, taken)]
        pieces += found
        taken += [part for _, part in found]
    return [
        Segment(stage.name, stage.generation, look_of(stage.name, stage.measures.get("expert")), *part)
        for stage, part in sorted(pieces, key=lambda piece: piece[1])
    ]


def _extent(stage: StageRecord) -> Interval:
    return stage.start_s, stage.start_s + stage.extent_s


def _is_inner(stage: StageRecord) -> bool:
    return stage.name == stage_names.TEXT_ENCODING or look_of(stage.name) is style.LOADING


def _leaves(stages: Iterable[StageRecord]) -> list[StageRecord]:
    return [stage for stage in stages if stage.name not in (stage_names.TOTAL_EXECUTION, stage_names.COMPILATION)]


def _inner(stages: Sequence[StageRecord]) -> list[tuple[StageRecord, Interval]]:
    return [(stage, _extent(stage)) for stage in _leaves(stages) if _is_inner(stage)]


def _outer(stages: Sequence[StageRecord]) -> list[tuple[StageRecord, Interval]]:
    return [(stage, _extent(stage)) for stage in _leaves(stages) if not _is_inner(stage)]


def _compilation(stages: Sequence[StageRecord]) -> list[tuple[StageRecord, Interval]]:
    """Where compilation went on: a stage's extent is longer than its own time by what lies inside it."""
    found: list[tuple[StageRecord, Interval]] = []
    for compiled in stages:
        if compiled.name != stage_names.COMPILATION:
            continue
        if compiled.extent_s - compiled.measures["time_s"] < _LEAST_S:
            found.append((compiled, _extent(compiled)))
            continue
        around = [stage for stage in _leaves(stages) if stage.generation == compiled.generation]
        for stage in around:
            start_s, end_s = _extent(stage)
            inner = [other for other in around if _is_inner(other) and other is not stage]
            held = [other for other in inner if start_s <= other.start_s < end_s and not _is_inner(stage)]
            hidden_s = stage.extent_s - stage.measures["time_s"] - sum(other.extent_s for other in held)
            if hidden_s > _LEAST_S:
                begin_s = max([start_s, compiled.start_s, *(_extent(other)[1] for other in held)])
                begin_s = min(begin_s, end_s - hidden_s)
                found.append((compiled, (begin_s, begin_s + hidden_s)))
    return found


def _subtract(whole: Interval, taken: Iterable[Interval]) -> list[Interval]:
    """What is left of an interval outside of others."""
    left, (start_s, end_s) = [], whole
    for other_start_s, other_end_s in sorted(taken):
        if other_end_s <= start_s or other_start_s >= end_s:
            continue
        left.append((start_s, other_start_s))
        start_s = max(start_s, other_end_s)
    left.append((start_s, end_s))
    return [(begin_s, finish_s) for begin_s, finish_s in left if finish_s - begin_s > _LEAST_S]
