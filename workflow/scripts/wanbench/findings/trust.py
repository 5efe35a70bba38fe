"""Rules about trust: why a case fails a check, and what was excluded from its figures."""

from collections.abc import Iterator

from wanbench.findings.basis import WARNING, Context, Found, Rule, rule
from wanbench.models.facts import LONGEST_PROMPT_TOKENS
from wanbench.trace.verdict import SLOWED_DOWN


def _of_check(name: str, *figures: str) -> Rule:
    """The rule that a case did not pass the check of this name, with the figures that say by how much."""

    def check(context: Context) -> Iterator[Found]:
        if name in context.failed_checks:
            yield Found(WARNING, context.numbers(*figures))

    return Rule(name, check)


@rule
def generations_excluded(context: Context) -> Iterator[Found]:
    reasons = {stage["generation"]: stage["excluded"] for stage in context.stages if stage["excluded"]}
    if reasons:
        measured = {stage["generation"] for stage in context.stages if stage["measured"]} - {None}
        evidence = {"generations_excluded": float(len(reasons)), "measured_runs": float(len(measured))}
        yield Found(WARNING, evidence, said={"reasons": sorted(reasons.items())})


@rule
def prompt_cut(context: Context) -> Iterator[Found]:
    for which in ("prompt", "negative_prompt"):
        if cut := context.number(f"{which}_tokens_cut"):
            said = {"which": which, "cut": cut, "longest": LONGEST_PROMPT_TOKENS}
            yield Found(WARNING, {f"{which}_tokens_cut": cut}, said=said)


RULES = (
    prompt_cut,
    _of_check("other_process", "other_processes", "other_processes_mem_bytes"),
    _of_check("slowed_down", *(f"{reason}_pct" for reason in SLOWED_DOWN)),
    generations_excluded,
    _of_check("step_time_changed", "step_change_at", "step_change_before_s", "step_change_after_s"),
    _of_check("output_not_finite"),
    _of_check("unaccounted_time", "stage_coverage_pct", "unaccounted_s"),
    _of_check("sampling_gaps", "sample_coverage_pct", "greatest_sample_gap_s"),
)
