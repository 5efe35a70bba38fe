"""What a share would be at the model's official number of steps: a preview exaggerates what is paid once."""

import statistics
from dataclasses import dataclass, field

from wanbench.analysis.breakdown import Row
from wanbench.analysis.comparable import is_cache_at_random
from wanbench.analysis.figures import mean_over_time
from wanbench.findings.basis import BOTTLENECK, NOTE, Context, total_of
from wanbench.models.facts import MODELS
from wanbench.registry import stages as stage_names


@dataclass(frozen=True)
class AtOfficialSteps:
    """How a finding about a share ends, for a case with fewer steps than the model's own number; else nothing more.

    Attributes:
        severity: a bottleneck, or a note where the share would pass at the official steps.
        words: what the share would be.
    """

    severity: str = BOTTLENECK
    words: str = ""
    evidence: dict[str, float] = field(default_factory=dict)

    @property
    def and_words(self) -> str:
        return f"; {self.words}" if self.words else ""

    def in_brackets(self, *before: str) -> str:
        return f" ({'; '.join([*before, self.words])})" if self.words else ""


@dataclass(frozen=True)
class Share:
    """A part of a time, and what every further step of each generation adds to the part.

    Attributes:
        generations: number of generations that the whole consists of.
    """

    part_s: float
    whole_s: float
    generations: int
    step_part_s: float = 0.0


def for_high_share(context: Context, share: Share, limit_pct: float) -> AtOfficialSteps:
    """For a finding that speaks of a share of at least `limit_pct`."""
    official_pct = _official_pct(context, share)
    return _judged(context, official_pct, official_pct is None or official_pct >= limit_pct)


def for_low_share(context: Context, share: Share, limit_pct: float) -> AtOfficialSteps:
    """For a finding that speaks of a share below `limit_pct`."""
    official_pct = _official_pct(context, share)
    return _judged(context, official_pct, official_pct is None or official_pct < limit_pct)


def not_known(context: Context) -> AtOfficialSteps:
    """Without words; and a note for a preview of a cache at random weights, of which nobody knows more steps."""
    is_preview = is_cache_at_random(context.case) and _steps_missing(context) > 0
    return AtOfficialSteps(NOTE) if is_preview else AtOfficialSteps()


def typical_moving_s(context: Context) -> float:
    """Seconds of a typical step in which weights move."""
    moving_s = [
        total_of(value for part in parts for value in (part.loading_s, part.offloading_s))
        for parts in _typical_steps(context)
    ]
    return _typical(context, moving_s) if moving_s else 0.0


def typical_busy_s(context: Context) -> float | None:
    """Seconds of a typical step's inference in which the multiprocessors have work; None where not measured."""
    rows = context.typical_rows
    # Steps that a cache shortened may be too short for a figure, and those that have one are the others.
    if context.case["cache"] != "none":
        sm_pct = mean_over_time((row.sm_activity_pct, row.time_s) for row in rows)
        return None if sm_pct is None else sm_pct / 100 * _typical(context, [row.time_s for row in rows])
    busy_s = [row.sm_activity_pct / 100 * row.time_s for row in rows if row.sm_activity_pct is not None]
    return _typical(context, busy_s) if busy_s else None


def _typical(context: Context, values: list[float]) -> float:
    """What stands for a step, as s/step does: with a cache the mean."""
    return statistics.median(values) if context.case["cache"] == "none" else statistics.fmean(values)


def _typical_steps(context: Context) -> list[list[Row]]:
    steps = []
    for inference in context.typical_rows:
        loading = context.row(stage_names.step_loading(stage_names.step_index(inference.stage) or 0))
        steps.append([inference] if loading is None else [inference, loading])
    return steps


def _official_pct(context: Context, share: Share) -> float | None:
    more, step_s = _steps_missing(context), context.number("step_s")
    if more <= 0 or step_s is None or not context.ran_to_its_end or is_cache_at_random(context.case):
        return None
    added = share.generations * more
    return 100 * (share.part_s + added * share.step_part_s) / (share.whole_s + added * step_s)


def _steps_missing(context: Context) -> int:
    return MODELS[context.case["model"]].steps - int(context.case["steps"])


def _judged(context: Context, official_pct: float | None, speaks: bool) -> AtOfficialSteps:
    if official_pct is None:
        return not_known(context)
    words = f"with the official {MODELS[context.case['model']].steps} it would be {official_pct:.0f} %"
    return AtOfficialSteps(BOTTLENECK if speaks else NOTE, words, {"official_steps_share_pct": official_pct})
