"""The verdict on a trace with the limits that are in force now, and the generations that figures are made of."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace

from wanbench.registry import stages as stage_names
from wanbench.trace.reader import StageRecord, Trace
from wanbench.trace.verdict import GenerationTimes, Limits, verdict_on

_CPU_SHARES = ("cpu_pct", "process_cpu_pct")


def judged(trace: Trace, limits: Limits) -> Trace:
    """The trace with its verdict made anew, in which only the generations are measured that figures are made of.

    No median is to hold a contaminated generation or, beside warm ones, the first of the process. No share of the CPU
    is to be one that cannot be.
    """
    verdict = verdict_on(trace.quality, _generation_times(trace), limits)
    excluded = {each["generation"]: " ".join(each["failed_checks"]) for each in verdict["excluded"]}
    stages = [
        replace(stage, measured=False, excluded=excluded[stage.generation]) if stage.generation in excluded else stage
        for stage in map(_with_possible_shares, trace.stages)
    ]
    measured = _measured_generations(stages)
    stages = [stage if stage.generation in measured else replace(stage, measured=False) for stage in stages]
    return replace(trace, quality=trace.quality | verdict | {"limits": asdict(limits)}, stages=stages)


def _with_possible_shares(stage: StageRecord) -> StageRecord:
    """The stage with at most 100 % of the CPU.

    The kernel counts CPU time in ticks, and the samples time by the clock: a tick that is counted in a stage may have
    begun before it, so that a busy machine has some percent above 100 in a short stage. It cannot be cut from single
    samples, whose rounding cancels out in the mean over a stage.
    """
    above = {key: 100.0 for key in _CPU_SHARES if (stage.measures.get(key) or 0) > 100}
    return replace(stage, measures=stage.measures | above) if above else stage


def _complete(stages: Sequence[StageRecord]) -> list[int]:
    """Measured generations that ran to their end."""
    ends = (stage for stage in stages if stage.name == stage_names.VIDEO_EXPORT and stage.measured)
    return [stage.generation for stage in ends if not stage.measures.get("interrupted")]


def _measured_generations(stages: Sequence[StageRecord]) -> Collection[int | None]:
    """The warm ones of the complete generations, or else the cold one, or else what there is."""
    complete = _complete(stages)
    warm = [number for number in complete if number > 0]
    return {None, *(warm or complete)} if complete else {stage.generation for stage in stages}


def _generation_times(trace: Trace) -> list[GenerationTimes]:
    complete = _complete(trace.stages)
    numbers = sorted({stage.generation for stage in trace.stages if stage.generation is not None})
    steps_s: dict[int, list[tuple[int, float]]] = {number: [] for number in numbers}
    for stage in trace.stages:
        if stage.generation is not None and _is_later_step(stage):
            steps_s[stage.generation].append((stage.measures["step"], stage.measures["time_s"]))
    return [GenerationTimes(number, number in complete, sorted(steps_s[number])) for number in numbers]


def _is_later_step(stage: StageRecord) -> bool:
    step = stage.measures.get("step", 0)
    is_complete = stage.name == stage_names.step_inference(step) and not stage.measures.get("interrupted")
    # A cache that serves makes a step short by design.
    return step > 0 and is_complete and not stage.measures.get("passes_reused")
