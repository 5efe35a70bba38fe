"""The comparison as Markdown."""

from collections.abc import Sequence

import pandas as pd

from wanbench.analysis.numbers import NOT_MEASURED, fixed, plain
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
from wanbench.compare.export import HOW_TO_MEASURE_AGAIN, verdict_counts
from wanbench.compare.match import Difference, in_all
from wanbench.compare.policy import MEASURE, ON_CPU_TIMES, OTHER_STAGE, POLICIES, SHOWN_STAGE, MetricPolicy

# Unit of a rule: unit in print, decimals, factor.
_PRINTED = {"s": ("s", 3, 1.0), "bytes": ("GB", 2, 1e-9), "J": ("J", 0, 1.0), "pct_s": ("%·s", 0, 1.0)}
_NOTES = f"""\
- All figures: `results/tables/comparison.csv`. Ratio: this run over the baseline; below 1 is faster or less.
- `slower`, `faster`, `more`, `less`: past both bounds of the rule and past the spread, which is three standard errors
  of the difference of the two medians (from the median absolute deviation); `none` with one value on each side.
- `within the spread`: past both bounds and not past the spread, so it may be chance. `same`: within the bounds.
- On the CPU the bound of a time is that one is more than {ON_CPU_TIMES} times the other.
- No verdict: other settings or hardware; a case that did not end well or failed a check; `not measured again`, the
  trace is the baseline's own; and of single measures what another GPU of this name, a busy machine
  (`busy_machine_pct`), or a cold generation beside warm ones changes as well."""


def render(comparison: Comparison) -> str:
    """The whole comparison: what got worse first, then the cases, then what changed, then the rules."""
    common = in_all([case.differences for case in comparison.cases])
    parts = ["# Wan2.2 Benchmark Comparison", _head(comparison, common)]
    for title, lines in (
        ("Worse than the baseline", regressions(comparison)),
        ("Only in the baseline", comparison.only_old),
        ("Only in this run", comparison.only_new),
        ("Excluded, and why", comparison.excluded),
    ):
        if lines:
            parts += [f"## {title}", "\n".join(f"- {_plain(line)}" for line in lines)]
    if comparison.cases:
        rows = [_case(case, comparison.rows, common) for case in comparison.cases]
        parts += ["## Cases", _table(rows, "lrrrll")]
    changed = [_row(row) for row in comparison.rows.itertuples() if _is_shown(row)]
    if changed:
        parts += ["## What changed", _table(changed, "lllrrrrl")]
    rules = [_rule(policy) for policy in (*POLICIES.values(), OTHER_STAGE, SHOWN_STAGE)]
    return "\n\n".join([*parts, "## Rules", _table(rules, "lrrlrl"), "## Notes", _NOTES]) + "\n"


def _table(rows: Sequence[dict[str, str]], sides: str) -> str:
    """
    Args:
        sides: a letter a column, l for text and r for numbers.
    """
    aligned = ["left" if side == "l" else "right" for side in sides]
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True, colalign=aligned)


def _head(comparison: Comparison, common: Sequence[Difference]) -> str:
    counts = ", ".join(f"{count} {_plain(verdict)}" for verdict, count in verdict_counts(comparison).items())
    lines = [
        f"- **Baseline**: {_plain(comparison.baseline)}",
        f"- **Cases**: {len(comparison.cases)} of both sides, {len(comparison.only_old)} only in the baseline, "
        f"{len(comparison.only_new)} only in this run",
        f"- **Verdicts of measures**: {counts or 'none'}",
    ]
    if itself := len(not_measured_again(comparison)):
        lines.append(
            f"- **Not measured again**: {itself} of {len(comparison.cases)} cases are the same traces as the "
            f"baseline's, and have no verdict ({HOW_TO_MEASURE_AGAIN})"
        )
    # Of no pair of cases it would be "nothing", as if both sides had been the same.
    if comparison.cases:
        differing = ", ".join(_plain(str(difference)) for difference in common) or "nothing"
        lines.append(f"- **Hardware and software that differ in all cases**: {differing}")
    return "\n".join(lines)


def _case(case: ComparedCase, rows: pd.DataFrame, common: Sequence[Difference]) -> dict[str, str]:
    measures = rows[(rows["case"] == case.case) & (rows["kind"] == MEASURE)]
    counts = measures.loc[~measures["verdict"].isin([NOT_JUDGED, NOT_MEASURED]), "verdict"].value_counts()
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    steps = next(measures[measures["key"] == "step_s"].itertuples(), None)
    own = [str(difference) for difference in case.differences if difference not in common]
    return {
        "Case": _plain(case.case if case.case == case.old_case else f"{case.old_case} -> {case.case}"),
        "Baseline s/step": fixed(steps and steps.old, 3),
        "s/step": fixed(steps and steps.new, 3),
        "Ratio": fixed(steps and steps.ratio),
        "Verdicts": _plain(case.withheld or verdicts or NOT_MEASURED),
        "Differs in": _plain("; ".join([*own, *([case.busy] if case.busy else [])]) or "nothing else"),
    }


def _is_shown(row: tuple) -> bool:
    """Whether a row changed, or is a measure whose change has no verdict."""
    changed = row.verdict in (*WORSE, *BETTER, WITHIN_SPREAD)
    return changed or (row.kind == MEASURE and row.verdict not in (SAME, NOT_MEASURED, NOT_JUDGED, NOT_MEASURED_AGAIN))


def _row(row: tuple) -> dict[str, str]:
    unit, decimals, factor = _PRINTED[row.unit]
    return {
        "Case": _plain(row.case),
        "Measure or stage": _plain(row.name),
        "Unit": unit,
        "Baseline": fixed(row.old, decimals, factor),
        "This run": fixed(row.new, decimals, factor),
        "Ratio": fixed(row.ratio),
        "Spread": "none" if pd.isna(row.spread) else fixed(row.spread, decimals, factor),
        "Verdict": _plain(row.verdict),
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


def _plain(text: str) -> str:
    """Text as Markdown shows it as it is, but for the arrow between two values, which needs no entity."""
    return plain(text).replace("-&gt;", "->")
