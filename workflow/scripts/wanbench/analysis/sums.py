"""Sums over the stages that make up a step or a generation."""

from collections.abc import Sequence

from wanbench.registry.stage_metrics import SHORTEST_WITH_ENERGY_S
from wanbench.trace.reader import Readings, StageRecord
from wanbench.util.counter import growth

# Stages shorter than the sampling interval have no sampled values. A sum over less of the time is not the whole.
_MIN_SHARE_OF_TIME = 0.99


def sum_of(stages: Sequence[StageRecord], measure: str) -> float | None:
    """Sum over the stages that have a measure; None where they are less than 99 % of the time."""
    known = [stage.measures for stage in stages if stage.measures.get(measure) is not None]
    time_s = sum(stage.measures["time_s"] for stage in stages)
    if not known or sum(stage["time_s"] for stage in known) < _MIN_SHARE_OF_TIME * time_s:
        return None
    return sum(stage[measure] for stage in known)


def energy_of(
    stages: Sequence[StageRecord], counter: Readings | None, taken_out: Sequence[StageRecord] = ()
) -> float | None:
    """Energy of stages in joules, with those of them that are too short or too interleaved to have a figure alone.

    Where such stages are more than 1 % of the time, it is what the counter grew by over all of them, less the energy of
    those that were taken out. It is None where that is not known: other stages lie in between, the whole is short, or
    the counter was not read before and after.

    Args:
        stages: together they are one stretch of time, but for `taken_out`.
        counter: of energy, in joules.
        taken_out: stages that ran in that stretch and do not belong to the sum.
    """
    added_up_j = sum_of(stages, "energy_j")
    if added_up_j is not None or counter is None or not stages:
        return added_up_j
    together = [*stages, *taken_out]
    start_s = min(stage.start_s for stage in together)
    end_s = max(stage.start_s + stage.extent_s for stage in together)
    named_s = sum(stage.measures["time_s"] for stage in together)
    if end_s - start_s < SHORTEST_WITH_ENERGY_S or named_s < _MIN_SHARE_OF_TIME * (end_s - start_s):
        return None
    whole_j = growth(counter.times_s, counter.values, start_s, end_s)
    others_j = sum_of(taken_out, "energy_j") if taken_out else 0.0
    return None if whole_j is None or others_j is None else whole_j - others_j
