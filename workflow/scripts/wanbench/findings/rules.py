"""All rules, and the findings of every case of a report."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.case_rows import case_rows
from wanbench.analysis.one_factor_pairs import Neighbourhood
from wanbench.analysis.same_workload import PeerIndex
from wanbench.findings import bounds, disturbed, gains, shares, time_limit, transfers, trust, waits
from wanbench.findings import gpu_scaling as parallel
from wanbench.findings import memory_margin as memory
from wanbench.findings import setting_effects as settings
from wanbench.findings.basis import SEVERITIES, Context, Finding, Rule, typical_rows
from wanbench.findings.thresholds import Thresholds
from wanbench.registry.stages import OOM

# In the order of the report within a severity. The settings come last: they leave out what others advise.
RULES: tuple[Rule, ...] = (
    *trust.RULES,
    *disturbed.RULES,
    *memory.RULES,
    *time_limit.RULES,
    *transfers.RULES,
    *waits.RULES,
    *bounds.RULES,
    *shares.RULES,
    *parallel.RULES,
    *settings.RULES,
)

# These say what would make a case faster, which is of no use to one that does not fit.
_OF_SPEED = (*transfers.RULES, *waits.RULES, *bounds.RULES, *shares.RULES, *parallel.RULES, *settings.RULES)


def findings_by_case(
    cases: pd.DataFrame, stages_of: Mapping[str, list[dict[str, Any]]], thresholds: Thresholds
) -> dict[str, list[Finding]]:
    """Findings of every case by its name, the gravest first.

    Args:
        cases: the cases table.
        stages_of: rows of the stages table by case, None for what was not measured.
    """
    listed = case_rows(cases)
    found: dict[str, list[Finding]] = {}
    neighbourhood, peers = Neighbourhood(listed), PeerIndex(listed)
    for case in listed:
        own = stages_of.get(case["case"], [])
        rows = breakdown(own)
        context = Context(case, rows, typical_rows(rows, own), own, neighbourhood.of(case), peers.of(case), thresholds)
        found[case["case"]] = findings_of(context)
    return found


def findings_of(context: Context) -> list[Finding]:
    """All findings of a case: warnings, bottlenecks, notes; advice with what other cases show of it."""
    found: list[Finding] = []
    for rule in _rules_for(context):
        advised = tuple(advice for finding in found for advice in finding.advised_alone)
        found += rule.check(replace(context, advised=advised))
    return sorted(_with_gains(context, found), key=lambda finding: SEVERITIES.index(finding.severity))


def _rules_for(context: Context) -> list[Rule]:
    does_not_fit, has_several_gpus = context.case["status"] == OOM, context.case["gpus"] > 1
    return [
        rule
        for rule in RULES
        if not (does_not_fit and rule in _OF_SPEED) and not (has_several_gpus and rule.of_activity)
    ]


def _with_gains(context: Context, found: list[Finding]) -> Iterator[Finding]:
    """The findings, each with what other cases show of the settings that none before it has named."""
    told: set[str] = set()
    # These rules name the case and its figures themselves.
    own_figures = {rule.name for rule in settings.RULES}
    for_memory = {rule.name for rule in memory.RULES}
    for finding in found:
        advised = tuple(advice for advice in finding.advised_alone if advice not in told)
        told.update(advised)
        shown = ""
        if finding.rule not in own_figures:
            shown = gains.measured_here(context, advised, for_speed=finding.rule not in for_memory)
        yield replace(finding, advice=f"{finding.advice} {shown}".strip())


def explained(findings: Iterable[Finding]) -> list[Rule]:
    """The rules that the findings are of, in order."""
    fired = {finding.rule for finding in findings}
    return [rule for rule in RULES if rule.name in fired]
