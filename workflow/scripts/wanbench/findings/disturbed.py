"""Rules about trust: was the case alone on its machine, and do its steps agree?"""

import statistics
from collections.abc import Iterable, Iterator

from wanbench.analysis.breakdown import Row
from wanbench.analysis.numbers import fixed
from wanbench.findings.basis import WARNING, Context, Finding, Rule, on_the_cpu, typical_stages
from wanbench.registry import stages as stage_names

# The middle half of fewer steps is a single one.
_MIN_STEPS = 4


def others_cpu_pct(rows: Iterable[Row]) -> float | None:
    """Share of the machine's CPU that other processes had during the case; None where it was not measured."""
    total = next((row for row in rows if row.stage == stage_names.TOTAL_EXECUTION), None)
    if total is None or total.cpu_pct is None or total.process_cpu_pct is None:
        return None
    return total.cpu_pct - total.process_cpu_pct


def look_for_the_cause(context: Context) -> str:
    """What to do first where times do not agree: nothing that the case cannot have, or that is known already."""
    busy = _too_busy_pct(context) is not None
    others = "Stop what else used this machine (busy_machine)" if busy else "Look for another process on this machine"
    return others if on_the_cpu(context) else f"{others}, or {'look ' if busy else ''}for throttling"


def _too_busy_pct(context: Context) -> float | None:
    others_pct = others_cpu_pct(context.rows)
    return others_pct if others_pct is not None and others_pct > context.thresholds.busy_machine_pct else None


def _busy_machine(context: Context) -> Iterator[Finding]:
    total, others_pct = context.row(stage_names.TOTAL_EXECUTION), _too_busy_pct(context)
    if total is None or others_pct is None:
        return
    text = (
        f"Other processes used {others_pct:.0f} % of the machine's CPU during the case (CPU {total.cpu_pct:.0f} %, of "
        f"which the case {total.process_cpu_pct:.0f} %): times of what runs on the CPU (loading, offloading, launching "
        "and export, and all of a case on the CPU) may be too long."
    )
    advice = "Stop what else runs on this machine, or reserve its cores, and run the case again."
    evidence = {"others_cpu_pct": others_pct, "cpu_pct": total.cpu_pct, "process_cpu_pct": total.process_cpu_pct}
    yield Finding("busy_machine", WARNING, evidence, text, advice)


def _step_times_scatter(context: Context) -> Iterator[Finding]:
    # A cache makes steps unlike by design, and a change between two times has a finding of its own.
    if context.case["cache"] != "none" or "step_time_changed" in context.failed_checks:
        return
    times_s = [stage["time_s"] for stage in typical_stages(context)]
    if len(times_s) < _MIN_STEPS:
        return
    lower_s, median_s, upper_s = statistics.quantiles(times_s, n=4)
    spread_s = upper_s - lower_s
    limits = context.thresholds
    if spread_s <= limits.step_change_s or 100 * spread_s <= limits.step_scatter_pct * median_s:
        return
    text = (
        f"Step times scatter: the middle half of {len(times_s)} typical steps spreads over {fixed(spread_s)} s, "
        f"{100 * spread_s / median_s:.0f} % of their median of {fixed(median_s)} s (shortest {fixed(min(times_s))} s, "
        f"longest {fixed(max(times_s))} s), so s/step and what is scaled by it are rough."
    )
    advice = f"{look_for_the_cause(context)}, and run the case again."
    evidence = {"spread_pct": 100 * spread_s / median_s, "spread_s": spread_s, "median_s": median_s}
    yield Finding("step_times_scatter", WARNING, evidence, text, advice)


RULES = (
    Rule(
        "busy_machine",
        "Other work used the machine's processors while the case ran. It is CPU (%) less Process CPU (%), both means "
        "over Total_Execution: what of all logical cores other processes had. The sampler, the kernel's own work, and "
        "the kernel's counting in ticks, which is not the same for the machine and for a process, make 0.4 to 2.4 % of "
        "it on a machine with nothing else to do; above `busy_machine_pct` it is somebody's work. What the GPU "
        "computes hardly suffers, but what runs on the CPU waits for its turn: loading, offloading, launching kernels, "
        "export, and all of a case on the CPU. The check "
        "of the case does not look at it, so that the summary names the finding beside its verdict.",
        _busy_machine,
    ),
    Rule(
        "step_times_scatter",
        "Steps that should take equally long do not, without one time before and another after (step_time_changed). "
        "The spread is the distance between the quartiles of the inference times of all typical steps of the "
        "generations that count, over their median; it counts above `step_scatter_pct`, and above `step_change_s`, "
        "since short steps vary by some hundredths of a second for no reason that matters. With fewer than four steps, "
        "or with a cache, whose steps are not alike, nothing is concluded. The median is then of few steps that were "
        "not disturbed, or of none: find what else ran, and run the case again.",
        _step_times_scatter,
    ),
)
