"""How often the power limit held the clocks down while the GPU denoised."""

from bisect import bisect_left, bisect_right

from wanbench.analysis.figures import steps_of, typical_steps
from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import POWER_CAP_BIT
from wanbench.trace.reader import Readings, StageRecord, Trace


def typical_power_cap_pct(trace: Trace) -> float | None:
    """Share of the samples in inference of the typical steps that count, in percent; None where there are none."""
    if trace.clock_events is None:
        return None
    measured = [stage for stage in trace.stages if stage.measured]
    typical = {(step.generation, step.index) for step in typical_steps(steps_of(measured))}
    seen = [
        bits
        for stage in measured
        if (stage.generation, stage_names.step_index(stage.name)) in typical and _is_sampled_inference(stage)
        for bits in _within(trace.clock_events, stage)
    ]
    return 100 * sum(bool(int(bits) & POWER_CAP_BIT) for bits in seen) / len(seen) if seen else None


def _is_sampled_inference(stage: StageRecord) -> bool:
    # One in pieces has none: its samples are of what lies between them too.
    return stage.name.endswith("_Inference") and stage.measures.get("sm_clock_mhz") is not None


def _within(readings: Readings, stage: StageRecord) -> list[float]:
    first = bisect_left(readings.times_s, stage.start_s)
    return readings.values[first : bisect_right(readings.times_s, stage.start_s + stage.extent_s)]
