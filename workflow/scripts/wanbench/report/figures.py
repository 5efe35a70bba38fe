"""The figures of a case, from its stages. Pure functions; None where nothing was measured."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.trace import names
from wanbench.trace.reader import StageRecord, Trace


@dataclass(frozen=True)
class CaseFigures:
    """Figures of one case.

    Attributes:
        total_execution_s: from the start of model initialisation to the end of the last stage.
        step_s: median time of a step (loading and inference), without the first and the expert-switch step.
        step_mean_s: mean time of all steps, as the reference report's "Avg Time per Step".
        first_step_s, switch_step_s: median time of step 0, and of the first step of the low-noise expert.
        gpu_mem_allocated_bytes, sys_mem_bytes, process_mem_bytes: highest values of all stages.
        inference_sm_activity_pct, inference_cpu_pct: means over the inference stages, weighted by time.
        inference_comp_load_pct_s, total_comp_load_pct_s: sums over the inference stages, and over all leaf stages.
    """

    total_execution_s: float | None
    step_s: float | None
    step_mean_s: float | None
    first_step_s: float | None
    switch_step_s: float | None
    gpu_mem_allocated_bytes: float | None
    sys_mem_bytes: float | None
    process_mem_bytes: float | None
    inference_sm_activity_pct: float | None
    inference_cpu_pct: float | None
    inference_comp_load_pct_s: float | None
    total_comp_load_pct_s: float | None


@dataclass(frozen=True)
class Step:
    """A denoising step: loading and inference together, in seconds."""

    generation: int
    index: int
    time_s: float
    expert: str | None
    is_switch: bool


def figures_of(trace: Trace) -> CaseFigures:
    """Figures over the generations that count; those of warm-up generations are used for nothing here."""
    stages = [stage for stage in trace.stages if stage.counted]
    total = next((stage for stage in stages if stage.name == names.TOTAL_EXECUTION), None)
    inference = [stage for stage in stages if names.step_inference(stage.measures.get("step", -1)) == stage.name]
    leaves = [stage for stage in trace.stages if stage.name not in names.NOT_LEAVES]
    steps = steps_of(stages)
    return CaseFigures(
        total_execution_s=total.measures["time_s"] if total else None,
        step_s=_median(step.time_s for step in steps if step.index > 0 and not step.is_switch),
        step_mean_s=_mean([step.time_s for step in steps]),
        first_step_s=_median(step.time_s for step in steps if step.index == 0),
        switch_step_s=_median(step.time_s for step in steps if step.is_switch),
        gpu_mem_allocated_bytes=_highest(trace.stages, "gpu_mem_allocated_bytes"),
        sys_mem_bytes=_highest(trace.stages, "sys_mem_bytes"),
        process_mem_bytes=_highest(trace.stages, "process_mem_bytes"),
        inference_sm_activity_pct=weighted_mean(inference, "sm_activity_pct"),
        inference_cpu_pct=weighted_mean(inference, "cpu_pct"),
        inference_comp_load_pct_s=_sum(inference, "comp_load_pct_s"),
        total_comp_load_pct_s=_sum(leaves, "comp_load_pct_s"),
    )


def steps_of(stages: Iterable[StageRecord]) -> list[Step]:
    """Complete steps, in order; a step that was cut short by a failure is none."""
    times: dict[tuple[int, int], float] = {}
    experts: dict[tuple[int, int], str | None] = {}
    cut_short: set[tuple[int, int]] = set()
    for stage in stages:
        index = names.step_index(stage.name)
        if index is None or stage.generation is None:
            continue
        key = (stage.generation, index)
        times[key] = times.get(key, 0.0) + stage.measures["time_s"]
        experts[key] = stage.measures.get("expert")
        if stage.measures.get("interrupted"):
            cut_short.add(key)
    return [
        Step(
            generation,
            index,
            time_s,
            experts[generation, index],
            index > 0 and experts[generation, index] != experts.get((generation, index - 1)),
        )
        for (generation, index), time_s in sorted(times.items())
        if (generation, index) not in cut_short
    ]


def weighted_mean(stages: Iterable[StageRecord], measure: str) -> float | None:
    """Mean over the stages that have the measure, weighted by their time."""
    pairs = [
        (stage.measures[measure], stage.measures["time_s"])
        for stage in stages
        if stage.measures.get(measure) is not None
    ]
    weight = sum(time_s for _, time_s in pairs)
    return sum(value * time_s for value, time_s in pairs) / weight if weight else None


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.median(listed) if listed else None


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _known(stages: Iterable[StageRecord], measure: str) -> list[Any]:
    return [stage.measures[measure] for stage in stages if stage.measures.get(measure) is not None]


def _highest(stages: Iterable[StageRecord], measure: str) -> float | None:
    return max(_known(stages, measure), default=None)


def _sum(stages: Iterable[StageRecord], measure: str) -> float | None:
    known = _known(stages, measure)
    return sum(known) if known else None
