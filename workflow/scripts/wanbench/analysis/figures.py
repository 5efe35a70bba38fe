"""The figures of a case, from its stages. Pure functions; None where nothing was measured."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.analysis.excl_compilation import computing_s, offload_all_s, uncompiled
from wanbench.analysis.generations import cold, generations_of, warm
from wanbench.analysis.sums import energy_of, sum_of
from wanbench.models.facts import MODELS, passes_per_step
from wanbench.registry import stages as stage_names
from wanbench.trace.reader import Readings, StageRecord, Trace

# A mean over less of the time does not stand for the whole.
_MIN_SHARE_OF_TIME = 0.9


@dataclass(frozen=True)
class CaseFigures:
    """Figures of one case.

    Attributes:
        total_execution_s: from the start of model initialisation to the end of the last stage.
        step_s: time of a typical step (loading and inference), see `typical_times_s`.
        typical_steps: number of the steps that `step_s` is of.
        step_mean_s: mean time of all steps, as the reference report's "Avg Time per Step".
        first_step_s, switch_step_s: median time of step 0, and of the first step of the low-noise expert.
        cold_first_step_s: time of step 0 of the first generation of the process; None where that is excluded.
        vae_decoding_s: median time.
        vae_computing_s: the same without the weights that move in it.
        weight_transfer_s: median time in which weights move, over the generations of `generation_excl_compilation_s`, with
            those that leave the device at the end.
        offload_all_s: median time of that end; None where it was not recorded or has nothing to move.
        first_generation_s: time of the first generation of the process, with compilation: what the first video costs.
        generation_s: median time of the generations that count after it; None where there are none.
        generation_excl_compilation_s, generation_energy_j: medians of time and energy without compilation, over the same
            generations as `generation_s`, or else of the first: what one more video costs.
        cold_generation_s, cold_generation_energy_j, cold_vae_computing_s, cold_weight_transfer_s: of the first, whether
            or not it counts, without compilation: what compares with a case that has no other.
        compilation_s: time of compilation in all generations; None where nothing was compiled.
        gpu_mem_allocated_bytes, gpu_mem_reserved_bytes, gpu_mem_used_bytes, sys_mem_bytes, process_mem_bytes: highest
            values of all stages.
        inference_sm_activity_pct, inference_cpu_pct: means over the inference stages, weighted by time.
        inference_comp_load_pct_s: sum over the inference stages; None where less than 99 % of their time have one.
        total_comp_load_pct_s: of `Total_Execution`, which is that of its leaf stages and the unaccounted rest, once.
        energy_j, power_mean_w: energy of `Total_Execution`, and that energy over its time.
        step_energy_j: energy of the same steps, see `typical_energies_j`.
        video_second_energy_j: `generation_energy_j` for each second of the video.
        passes_reused, passes: guidance passes for which a cache served, and of how many; over complete steps.
    """

    total_execution_s: float | None
    step_s: float | None
    typical_steps: float
    step_mean_s: float | None
    first_step_s: float | None
    cold_first_step_s: float | None
    switch_step_s: float | None
    vae_decoding_s: float | None
    vae_computing_s: float | None
    weight_transfer_s: float | None
    offload_all_s: float | None
    first_generation_s: float | None
    generation_s: float | None
    generation_excl_compilation_s: float | None
    generation_energy_j: float | None
    cold_generation_s: float | None
    cold_generation_energy_j: float | None
    cold_vae_computing_s: float | None
    cold_weight_transfer_s: float | None
    compilation_s: float | None
    gpu_mem_allocated_bytes: float | None
    gpu_mem_reserved_bytes: float | None
    gpu_mem_used_bytes: float | None
    sys_mem_bytes: float | None
    process_mem_bytes: float | None
    inference_sm_activity_pct: float | None
    inference_cpu_pct: float | None
    inference_comp_load_pct_s: float | None
    total_comp_load_pct_s: float | None
    energy_j: float | None
    power_mean_w: float | None
    step_energy_j: float | None
    video_second_energy_j: float | None
    passes_reused: float | None
    passes: float | None


@dataclass(frozen=True)
class Step:
    """A denoising step: time and energy of loading and inference together; no energy where one was not measured."""

    generation: int
    index: int
    time_s: float
    energy_j: float | None
    expert: str | None
    is_switch: bool
    stages: tuple[StageRecord, ...]


def figures_of(trace: Trace) -> CaseFigures:
    """Times are of the generations that count; peaks, load and energy are of all, as the machine had to bear them."""
    stages = [stage for stage in trace.stages if stage.measured]
    decoding = [
        stage for stage in stages if stage.name == stage_names.VAE_DECODING and not stage.measures.get("interrupted")
    ]
    total = next((stage for stage in stages if stage.name == stage_names.TOTAL_EXECUTION), None)
    inference = [stage for stage in stages if stage_names.step_inference(stage.measures.get("step", -1)) == stage.name]
    steps = steps_of(stages, trace.energy_counter)
    energy_j = total.measures.get("energy_j") if total else None
    generations = generations_of(trace.stages, trace.energy_counter)
    further = uncompiled(trace, warm(generations) or cold(generations))
    first = uncompiled(trace, cold(generations))
    passes_reused, passes = _passes(trace, inference)
    return CaseFigures(
        total_execution_s=total.measures["time_s"] if total else None,
        step_s=_median(typical_times_s(trace, steps)),
        typical_steps=len(typical_steps(steps)),
        step_mean_s=_mean([step.time_s for step in steps]),
        first_step_s=_median(step.time_s for step in steps if step.index == 0),
        cold_first_step_s=_cold_first_step_s(trace),
        switch_step_s=_median(step.time_s for step in steps if step.is_switch),
        vae_decoding_s=_median(stage.measures["time_s"] for stage in decoding),
        vae_computing_s=_median(map(computing_s, decoding)),
        weight_transfer_s=further.weight_transfer_s,
        offload_all_s=_median(offload_all_s(trace, {stage.generation for stage in stages})),
        first_generation_s=_median(generation.time_s for generation in cold(generations)),
        generation_s=_median(generation.time_s for generation in warm(generations)),
        generation_excl_compilation_s=further.time_s,
        generation_energy_j=further.energy_j,
        cold_generation_s=first.time_s,
        cold_generation_energy_j=first.energy_j,
        cold_vae_computing_s=first.vae_computing_s,
        cold_weight_transfer_s=first.weight_transfer_s,
        compilation_s=_sum((stage for stage in trace.stages if stage.name == stage_names.COMPILATION), "time_s"),
        gpu_mem_allocated_bytes=_highest(trace.stages, "gpu_mem_allocated_bytes"),
        gpu_mem_reserved_bytes=_highest(trace.stages, "gpu_mem_reserved_bytes"),
        gpu_mem_used_bytes=_highest(trace.stages, "gpu_mem_used_bytes"),
        sys_mem_bytes=_highest(trace.stages, "sys_mem_bytes"),
        process_mem_bytes=_highest(trace.stages, "process_mem_bytes"),
        inference_sm_activity_pct=weighted_mean(inference, "sm_activity_pct"),
        inference_cpu_pct=weighted_mean(inference, "cpu_pct"),
        inference_comp_load_pct_s=sum_of(inference, "comp_load_pct_s"),
        total_comp_load_pct_s=total.measures.get("comp_load_pct_s") if total else None,
        energy_j=energy_j,
        power_mean_w=energy_j / total.measures["time_s"] if total and energy_j is not None else None,
        step_energy_j=_median(typical_energies_j(trace, steps)),
        video_second_energy_j=_of_video_second(trace, further.energy_j),
        passes_reused=passes_reused,
        passes=passes,
    )


def _passes(trace: Trace, inference: Sequence[StageRecord]) -> tuple[int | None, int | None]:
    known = _known((stage for stage in inference if not stage.measures.get("interrupted")), "passes_reused")
    if not known:
        return None, None
    return sum(known), passes_per_step(trace.case["guidance"]) * len(known)


def _of_video_second(trace: Trace, generation_energy_j: float | None) -> float | None:
    facts = MODELS.get(trace.case["model"])
    if generation_energy_j is None or facts is None:
        return None
    return generation_energy_j * facts.fps / trace.case["frames"]


def _cold_first_step_s(trace: Trace) -> float | None:
    of_first = steps_of(stage for stage in trace.stages if stage.generation == 0 and not stage.excluded)
    return next((step.time_s for step in of_first if step.index == 0), None)


def steps_of(stages: Iterable[StageRecord], energy_counter: Readings | None = None) -> list[Step]:
    """Complete steps, in order; a step that was cut short by a failure is none.

    Args:
        energy_counter: of the GPU, in joules; without it, steps have no energy whose parts have none.
    """
    parts: dict[tuple[int, int], list[StageRecord]] = {}
    for stage in stages:
        index = stage_names.step_index(stage.name)
        if index is not None and stage.generation is not None:
            parts.setdefault((stage.generation, index), []).append(stage)
    experts = {key: of_step[-1].measures.get("expert") for key, of_step in parts.items()}
    return [
        Step(
            generation,
            index,
            sum(part.measures["time_s"] for part in of_step),
            energy_of(of_step, energy_counter),
            experts[generation, index],
            index > 0 and experts[generation, index] != experts.get((generation, index - 1)),
            tuple(of_step),
        )
        for (generation, index), of_step in sorted(parts.items())
        if not any(part.measures.get("interrupted") for part in of_step)
    ]


def typical_steps(steps: Iterable[Step]) -> list[Step]:
    """Without the first, which launches kernels for the first time, and the expert switch, which moves weights."""
    return [step for step in steps if step.index > 0 and not step.is_switch]


def typical_times_s(trace: Trace, steps: Sequence[Step]) -> list[float]:
    """The times in seconds that s/step is the median of: those of the typical steps.

    With a cache steps are short or long by design, and a median would be one or the other: then it is the mean of each
    generation's.
    """
    if trace.case["cache"] == "none":
        return [step.time_s for step in typical_steps(steps)]
    return [statistics.fmean(step.time_s for step in of_one) for of_one in _by_generation(typical_steps(steps))]


def typical_energies_j(trace: Trace, steps: Sequence[Step]) -> list[float]:
    """The energies in joules that the energy of a step is the median of, as `typical_times_s`.

    Where steps are too short for an energy each, it is what s/step takes at the power of all steps of a generation.
    """
    typical = typical_steps(steps)
    each = [step.energy_j for step in typical]
    if trace.case["cache"] == "none" and None not in each:
        return each
    step_s = _median(typical_times_s(trace, steps))
    powers_w = [_mean_power_w(of_one, trace.energy_counter) for of_one in _by_generation(typical)]
    return [power_w * step_s for power_w in powers_w if power_w is not None]


def _mean_power_w(steps: Sequence[Step], energy_counter: Readings | None) -> float | None:
    """Mean power in watts of steps of one generation, stretch by stretch: the expert switch may lie between them."""
    stretches: list[list[Step]] = []
    for step in steps:
        if stretches and stretches[-1][-1].index == step.index - 1:
            stretches[-1].append(step)
        else:
            stretches.append([step])
    powers: list[tuple[float | None, float]] = []
    for stretch in stretches:
        energy_j = energy_of([stage for step in stretch for stage in step.stages], energy_counter)
        time_s = sum(step.time_s for step in stretch)
        powers.append((None if energy_j is None else energy_j / time_s, time_s))
    return mean_over_time(powers)


def _by_generation(steps: Iterable[Step]) -> list[list[Step]]:
    found: dict[int, list[Step]] = {}
    for step in steps:
        found.setdefault(step.generation, []).append(step)
    return list(found.values())


def weighted_mean(stages: Sequence[StageRecord], measure: str) -> float | None:
    """Mean of a measure over stages, weighted by time."""
    return mean_over_time((stage.measures.get(measure), stage.measures["time_s"]) for stage in stages)


def mean_over_time(values: Iterable[tuple[float | None, float]]) -> float | None:
    """Mean weighted by time; None where the values that are known are of less than nine tenths of the time.

    Args:
        values: each with the time in seconds that it stands for.
    """
    pairs = list(values)
    known = [(value, time_s) for value, time_s in pairs if value is not None]
    weight = sum(time_s for _, time_s in known)
    if not weight or weight < _MIN_SHARE_OF_TIME * sum(time_s for _, time_s in pairs):
        return None
    return sum(value * time_s for value, time_s in known) / weight


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
