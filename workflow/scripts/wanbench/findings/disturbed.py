"""Rules about trust: was the case alone on its machine, and do its steps agree? No check looks at these."""

import statistics
from collections.abc import Iterable, Iterator

from wanbench.analysis.breakdown import Row
from wanbench.analysis.numbers import fixed
from wanbench.findings.basis import WARNING, Context, Finding, rule
from wanbench.registry import stages as stage_names

# The middle half of fewer steps is a single one.
_MIN_STEPS = 4


def others_cpu_pct(rows: Iterable[Row]) -> float | None:
    """Share of the machine's CPU that other processes had during the case; None where it was not measured."""
    total = next((row for row in rows if row.stage == stage_names.TOTAL_EXECUTION), None)
    if total is None or total.cpu_pct is None or total.process_cpu_pct is None:
        return None
    return total.cpu_pct - total.process_cpu_pct


@rule(
    "Other work used more than `busy_machine_pct` of the machine's processors: CPU (%) less Process CPU (%) over "
    "Total_Execution. What the GPU computes hardly suffers; what runs on the CPU does."
)
def busy_machine(context: Context) -> Iterator[Finding]:
    others_pct = others_cpu_pct(context.rows)
    if others_pct is not None and others_pct > context.thresholds.busy_machine_pct:
        text = (
            f"Other processes used {others_pct:.0f} % of the machine's CPU during the case: times of what runs on the "
            "CPU (loading, offloading, launching, export) may be too long."
        )
        advice = "Stop what else runs on this machine, or reserve its cores, and run the case again."
        yield Finding("busy_machine", WARNING, {"others_cpu_pct": others_pct}, text, advice)


@rule(
    "Steps that should take equally long do not: the distance between the quartiles of the typical steps' inference "
    "times is above `step_scatter_pct` of their median and above `step_change_s`. With fewer than four steps, or with "
    "a cache, the rule is silent."
)
def step_times_scatter(context: Context) -> Iterator[Finding]:
    times_s = [stage["time_s"] for stage in context.typical_stages]
    # A change between two times has a finding of its own.
    if context.case["cache"] != "none" or "step_time_changed" in context.failed_checks or len(times_s) < _MIN_STEPS:
        return
    lower_s, median_s, upper_s = statistics.quantiles(times_s, n=4)
    spread_s, spread_pct = upper_s - lower_s, 100 * (upper_s - lower_s) / median_s
    if spread_s > context.thresholds.step_change_s and spread_pct > context.thresholds.step_scatter_pct:
        text = (
            f"Step times scatter: the middle half of {len(times_s)} typical steps spreads over {fixed(spread_s)} s, "
            f"{spread_pct:.0f} % of their median ({fixed(min(times_s))} to {fixed(max(times_s))} s), so s/step is "
            "rough."
        )
        evidence = {"spread_pct": spread_pct, "spread_s": spread_s, "median_s": median_s}
        advice = f"{context.look_for_the_cause}, and run the case again."
        yield Finding("step_times_scatter", WARNING, evidence, text, advice)


RULES = (busy_machine, step_times_scatter)
