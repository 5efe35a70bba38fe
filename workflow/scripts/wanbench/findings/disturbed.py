"""Rules about trust: was the case alone on its machine, and do its steps agree? No check looks at these."""

import statistics
from collections.abc import Iterable, Iterator

from wanbench.analysis.breakdown import Row
from wanbench.findings.basis import WARNING, Context, Found, rule
from wanbench.registry import stages as stage_names

# The middle half of fewer steps is a single one.
_MIN_STEPS = 4


def others_cpu_pct(rows: Iterable[Row]) -> float | None:
    """Share of the machine's CPU that other processes had during the case; None where it was not measured."""
    total = next((row for row in rows if row.stage == stage_names.TOTAL_EXECUTION), None)
    if total is None or total.cpu_pct is None or total.process_cpu_pct is None:
        return None
    return total.cpu_pct - total.process_cpu_pct


@rule
def busy_machine(context: Context) -> Iterator[Found]:
    others_pct = others_cpu_pct(context.rows)
    if others_pct is not None and others_pct > context.thresholds.busy_machine_pct:
        yield Found(WARNING, {"others_cpu_pct": others_pct})


@rule
def step_times_scatter(context: Context) -> Iterator[Found]:
    names = {row.stage for row in context.typical_rows}
    times_s = [stage["time_s"] for stage in context.stages if stage["stage"] in names and stage["measured"]]
    # A change between two times has a finding of its own.
    if context.case["cache"] != "none" or "step_time_changed" in context.failed_checks or len(times_s) < _MIN_STEPS:
        return
    lower_s, median_s, upper_s = statistics.quantiles(times_s, n=4)
    spread_s, spread_pct = upper_s - lower_s, 100 * (upper_s - lower_s) / median_s
    if spread_s > context.thresholds.step_change_s and spread_pct > context.thresholds.step_scatter_pct:
        evidence = {"spread_pct": spread_pct, "spread_s": spread_s, "median_s": median_s}
        yield Found(WARNING, evidence, said={"times_s": times_s})


RULES = (busy_machine, step_times_scatter)
