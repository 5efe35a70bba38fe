"""The comparison as Markdown."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.numbers import NOT_MEASURED, fixed
from wanbench.compare.change_verdict import (
    BETTER,
    NOT_JUDGED,
    NOT_MEASURED_AGAIN,
    SAME,
    WITHIN_SPREAD,
    WORSE,
    ComparedCase,
    Comparison,
    not_measured_again,
    regressions,
)
from wanbench.compare.export import verdict_counts
from wanbench.compare.match import Difference, in_all
from wanbench.compare.policy import MEASURE, ON_CPU_TIMES, POLICIES, MetricPolicy
from wanbench.report.render import rendered, shown

# Unit of a rule: unit in print, decimals, factor.
_PRINTED = {"s": ("s", 3, 1.0), "bytes": ("GB", 2, 1e-9), "J": ("J", 0, 1.0), "pct_s": ("%·s", 0, 1.0)}


def render(comparison: Comparison) -> str:
    """The whole comparison: what got worse first, then the cases, then what changed, then the rules."""
    common = in_all([case.differences for case in comparison.cases])
    return rendered(
        "comparison.md.j2",
        comparison=comparison,
        verdicts=verdict_counts(comparison),
        itself=len(not_measured_again(comparison)),
        on_cpu_times=ON_CPU_TIMES,
        common=common,
        worse=regressions(comparison),
        cases=[_case(case, comparison.rows, common) for case in comparison.cases],
        changed=[_row(row) for row in comparison.rows.itertuples() if _is_shown(row)],
        rules=[_rule(policy) for policy in POLICIES.values()],
    )


def _case(case: ComparedCase, rows: pd.DataFrame, common: Sequence[Difference]) -> dict[str, str]:
    measures = rows[(rows["case"] == case.case) & (rows["kind"] == MEASURE)]
    counts = measures.loc[~measures["verdict"].isin([NOT_JUDGED, NOT_MEASURED]), "verdict"].value_counts()
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    steps = next(measures[measures["key"] == "step_s"].itertuples(), None)
    own = [str(difference) for difference in case.differences if difference not in common]
    return {
        "Case": shown(case.case if case.case == case.old_case else f"{case.old_case} -> {case.case}"),
        "Baseline s/step": fixed(steps and steps.old, 3),
        "s/step": fixed(steps and steps.new, 3),
        "Ratio": fixed(steps and steps.ratio),
        "Verdicts": shown(case.withheld or verdicts or NOT_MEASURED),
        "Differs in": shown("; ".join([*own, *([case.busy] if case.busy else [])]) or "nothing else"),
    }


def _is_shown(row: tuple) -> bool:
    """Whether a row changed, or is a measure whose change has no verdict."""
    changed = row.verdict in (*WORSE, *BETTER, WITHIN_SPREAD)
    return changed or (row.kind == MEASURE and row.verdict not in (SAME, NOT_MEASURED, NOT_JUDGED, NOT_MEASURED_AGAIN))


def _row(row: tuple) -> dict[str, str]:
    unit, decimals, factor = _PRINTED[row.unit]
    return {
        "Case": shown(row.case),
        "Measure or stage": shown(row.name),
        "Unit": unit,
        "Baseline": fixed(row.old, decimals, factor),
        "This run": fixed(row.new, decimals, factor),
        "Ratio": fixed(row.ratio),
        "Spread": "none" if pd.isna(row.spread) else fixed(row.spread, decimals, factor),
        "Verdict": shown(row.verdict),
    }


def _rule(policy: MetricPolicy) -> dict[str, str]:
    unit, _, factor = _PRINTED[policy.unit]
    without = policy.judged and policy.other_gpu_share is None
    return {
        "Measure": policy.label,
        "More than (%)": fixed(policy.share if policy.judged else None, 0, 100),
        "And more than": f"{policy.absolute * factor:g} {unit}" if policy.judged else NOT_MEASURED,
        "Reason": policy.reason,
        "On another GPU of this name, more than (%)": "no verdict"
        if without
        else fixed(policy.other_gpu_share, 0, 100),
        "Reason for that": policy.other_gpu_reason,
    }
