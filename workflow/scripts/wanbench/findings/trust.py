"""Rules about trust: failed checks, what was excluded, and whether the case was alone and its steps agree."""

import statistics
from collections.abc import Callable, Iterable, Iterator

from wanbench.analysis.breakdown import Row
from wanbench.findings.basis import WARNING, Context, Found
from wanbench.models.facts import LONGEST_PROMPT_TOKENS
from wanbench.registry import stages as stage_names
from wanbench.trace.verdict import SLOWED_DOWN

# The middle half of fewer steps is a single one.
_MIN_STEPS = 4


def _of_check(name: str, *figures: str) -> Callable[[Context], Iterator[Found]]:
    """The rule that a case did not pass the check of this name, with the figures that say by how much."""

    def rule(context: Context) -> Iterator[Found]:
        if name in context.failed_checks:
            yield Found(WARNING, context.numbers(*figures))

    rule.__name__ = name
    return rule


def generations_excluded(context: Context) -> Iterator[Found]:
    reasons = {stage["generation"]: stage["excluded"] for stage in context.stages if stage["excluded"]}
    if reasons:
        measured = {stage["generation"] for stage in context.stages if stage["measured"]} - {None}
        evidence = {"generations_excluded": float(len(reasons)), "measured_runs": float(len(measured))}
        yield Found(WARNING, evidence, said={"reasons": sorted(reasons.items())})


def prompt_cut(context: Context) -> Iterator[Found]:
    for which in ("prompt", "negative_prompt"):
        if cut := context.number(f"{which}_tokens_cut"):
            said = {"which": which, "cut": cut, "longest": LONGEST_PROMPT_TOKENS}
            yield Found(WARNING, {f"{which}_tokens_cut": cut}, said=said)


def others_cpu_pct(rows: Iterable[Row]) -> float | None:
    """Share of the machine's CPU that other processes had during the case; None where it was not measured."""
    total = next((row for row in rows if row.stage == stage_names.TOTAL_EXECUTION), None)
    if total is None or total.cpu_pct is None or total.process_cpu_pct is None:
        return None
    return total.cpu_pct - total.process_cpu_pct


def busy_machine(context: Context) -> Iterator[Found]:
    others_pct = others_cpu_pct(context.rows)
    if others_pct is not None and others_pct > context.thresholds.busy_machine_pct:
        yield Found(WARNING, {"others_cpu_pct": others_pct})


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


RULES = (
    prompt_cut,
    _of_check("other_process", "other_processes", "other_processes_mem_bytes"),
    _of_check("slowed_down", *(f"{reason}_pct" for reason in SLOWED_DOWN)),
    generations_excluded,
    _of_check("step_time_changed", "step_change_at", "step_change_before_s", "step_change_after_s"),
    _of_check("output_not_finite"),
    _of_check("unaccounted_time", "stage_coverage_pct", "unaccounted_s"),
    _of_check("sampling_gaps", "sample_coverage_pct", "greatest_sample_gap_s"),
    # No check looks at these.
    busy_machine,
    step_times_scatter,
)
