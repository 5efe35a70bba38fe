"""All rules, and the findings of every case of a report."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.kernels import with_best_attention
from wanbench.analysis.one_factor_pairs import one_factor_pairs
from wanbench.analysis.tables import records, records_by_case
from wanbench.findings import (
    disturbed,
    gpu_use,
    kernel_time,
    resource_limits,
    setting_effects,
    shares,
    slow_machine,
    transfers,
    trust,
)
from wanbench.findings.basis import SEVERITIES, Context, Finding, Found, Rule
from wanbench.findings.sentences import sentence_of
from wanbench.findings.thresholds import Thresholds
from wanbench.registry.stages import OOM

_OF_ALL_CASES = (*trust.RULES, *slow_machine.RULES, *disturbed.RULES, *resource_limits.RULES)
# What would make a case faster is of no use to one that does not fit.
_OF_SPEED = (*transfers.RULES, *gpu_use.RULES, *shares.RULES, *kernel_time.RULES, *setting_effects.RULES)
# In the order of the report within a severity.
RULES: tuple[Rule, ...] = (*_OF_ALL_CASES, *_OF_SPEED)


def findings_by_case(
    cases: pd.DataFrame, stages_of: Mapping[str, list[dict[str, Any]]], thresholds: Thresholds, kernels: pd.DataFrame
) -> dict[str, list[Finding]]:
    """Findings of every case by its name, the gravest first, from the cases and kernels tables and rows of stages."""
    pairs = records_by_case(one_factor_pairs(cases))
    kernels_of = records_by_case(with_best_attention(kernels, cases))
    found = {}
    for case in records(cases):
        name, stages = case["case"], stages_of.get(case["case"], [])
        of_case = (pairs.get(name, []), thresholds, kernels_of.get(name, []))
        found[name] = findings_of(Context(case, breakdown(stages), stages, *of_case))
    return found


def findings_of(context: Context) -> list[Finding]:
    """All findings of a case: warnings, bottlenecks, notes."""
    rules = _OF_ALL_CASES if context.case["status"] == OOM else RULES
    if context.case["gpus"] > 1:
        # Waiting for another GPU counts as activity.
        rules = [rule for rule in rules if rule not in gpu_use.RULES]
    found = [_in_words(rule.name, found, context) for rule in rules for found in rule.check(context)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _in_words(rule: str, found: Found, context: Context) -> Finding:
    figures = {"of": context, "case": context.case, "found": found, **found.evidence, **found.said}
    text, advice = (sentence_of(rule, part, figures) for part in ("text", "advice"))
    return Finding(rule, found.severity, found.evidence, text, advice, found.advised)


def explained(findings: Iterable[Finding]) -> list[Rule]:
    """The rules that the findings are of, in order."""
    fired = {finding.rule for finding in findings}
    return [rule for rule in RULES if rule.name in fired]
