"""The comparison as Markdown."""

from collections.abc import Sequence

from wanbench.analysis.numbers import NOT_MEASURED, fixed, plain
from wanbench.compare.change_verdict import (
    BETTER,
    BUSY_MACHINE,
    COLD_BESIDE_WARM,
    HOW_TO_MEASURE_AGAIN,
    ON_ANOTHER_GPU,
    SAME,
    WITHIN_SPREAD,
    WORSE,
    ComparedCase,
    ComparedRow,
    Comparison,
    not_measured_again,
    regressions,
)
from wanbench.compare.export import verdict_counts
from wanbench.compare.match import Difference, in_all
from wanbench.compare.policy import ON_CPU_TIMES, OTHER_STAGE, POLICIES, SHOWN_STAGE, MetricPolicy
from wanbench.report.layout import table

# Unit of a rule: unit in print, decimals, factor.
_PRINTED = {"s": ("s", 3, 1.0), "bytes": ("GB", 2, 1e-9), "J": ("J", 0, 1.0), "pct_s": ("%·s", 0, 1.0)}
_NO_VERDICT = "no verdict: "
_NOTE = (
    "Ratio: this run over the baseline; below 1 is faster or less. `slower`, `faster`, `more` and `less` need a "
    "change that is more than a share of the baseline's value, more than an absolute bound (both under Rules), and "
    "more than the spread: three standard errors of the difference of the two medians, from the median absolute "
    "deviation (Rousseeuw and Croux 1993) of the steps or generations of each side; of few values it is rough. Where "
    "each side has one value there is no spread (`none`), and the bounds alone decide. `same`: within the bounds. "
    "`within the spread`: past both bounds and not past the spread, so it may be chance, and nothing is said. `not "
    "judged`: shown for information. Stages say where a change lies; whether a case got worse, its measures say. "
    "`n/a`: not measured on one side. Two GPUs of one name differ more than one GPU from run to run: where the cases "
    "ran on two, only measures with a share for that (under Rules) have a verdict. Where one side has its first, cold "
    "generation alone and the other has warm ones, only loading, GPU memory and the cold generation have one. `not "
    "measured again`: the trace is the baseline's own, so that nothing could differ. `no verdict: busy machine`: in "
    "one of the two cases other processes had more than `busy_machine_pct` (config/thresholds.yaml) of the machine's "
    "CPU, and the CPU decides the measure: of a case on the CPU all times; of one on a GPU all times but s/step and "
    "VAE decoding, and the energy of a generation, and where weights are offloaded these as well. Memory has its "
    "verdict."
)
_ON_CPU = (
    f"Of cases on the CPU only times count of which one is more than {ON_CPU_TIMES} times the other, whatever the "
    "table says: equal ones differ by half on a machine whose host has other guests."
)


def render(comparison: Comparison) -> str:
    """The whole comparison: what got worse first, then each case, then the rules."""
    common = in_all([case.differences for case in comparison.cases])
    parts = ["# Wan2.2 Benchmark Comparison", _head(comparison, common), _NOTE]
    if comparison.cases:
        parts.append(table([_summary_row(case) for case in comparison.cases], ("Case", "Verdicts")))
    for title, lines in (
        ("Worse than the baseline", regressions(comparison)),
        ("On a busy machine", [f"{case.case}: {case.busy}" for case in comparison.cases if case.busy]),
        ("Only in the baseline", comparison.only_old),
        ("Only in this run", comparison.only_new),
        ("Excluded, and why", comparison.excluded),
        ("What the baseline contradicts itself in", comparison.notes),
    ):
        if lines:
            parts += [f"## {title}", "\n".join(f"- {_plain(line)}" for line in lines)]
    for case in comparison.cases:
        parts += _case_section(case, common)
    parts += ["## Rules", _ON_CPU, _rules()]
    return "\n\n".join(parts) + "\n"


def _head(comparison: Comparison, common: Sequence[Difference]) -> str:
    counts = ", ".join(f"{count} {_plain(verdict)}" for verdict, count in verdict_counts(comparison).items())
    unknown = not all(case.hardware_known for case in comparison.cases)
    nothing = "not known, of a report as the baseline no hardware is read" if unknown else "nothing"
    differing = ", ".join(_plain(str(difference)) for difference in common) or nothing
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
        lines.append(f"- **Hardware and software that differ in all cases**: {differing}")
    return "\n".join(lines)


def _summary_row(case: ComparedCase) -> dict[str, str]:
    steps = next((row for row in case.rows if row.name == POLICIES["step_s"].label), None)
    return {
        "Case": _plain(_label(case)),
        "Baseline s/step": fixed(steps.old if steps else None, 3),
        "s/step": fixed(steps.new if steps else None, 3),
        "Ratio": fixed(steps.ratio if steps else None),
        "Verdicts": _plain(_verdicts(case)),
    }


def _verdicts(case: ComparedCase) -> str:
    """What changed, in a few words; where some measures have no verdict, which of the others are the same."""
    if case.withheld is not None:
        return case.withheld
    measures = [row for row in case.rows if row.kind == "measure"]
    changed = [f"{row.name} {row.verdict}" for row in measures if row.verdict in (*WORSE, *BETTER, WITHIN_SPREAD)]
    same = [row for row in measures if row.verdict == SAME]
    unsaid = [
        why for why in (ON_ANOTHER_GPU, BUSY_MACHINE, COLD_BESIDE_WARM) if any(row.verdict == why for row in measures)
    ]
    if not unsaid:
        return ", ".join(changed) or (SAME if same else NOT_MEASURED)
    parts = [", ".join(changed)] if changed else []
    # Beside the ratio of s/step a bare `same` would be read as that of s/step.
    parts += [f"{SAME}: {', '.join(_in_short(same, measures))}"] if same else []
    why = ", ".join([unsaid[0], *(other.removeprefix(_NO_VERDICT) for other in unsaid[1:])])
    return "; ".join([*parts, f"others: {why}" if parts else why])


def _in_short(same: Sequence[ComparedRow], measures: Sequence[ComparedRow]) -> list[str]:
    """Names of measures, with one word for all kinds of memory where none of them is excluded."""
    memory = [row for row in measures if row.unit == "bytes" and row.verdict != NOT_MEASURED]
    if not memory or any(row.verdict != SAME for row in memory):
        return [row.name for row in same]
    return [*(row.name for row in same if row not in memory), "memory"]


def _label(case: ComparedCase) -> str:
    return case.case if case.case == case.old_case else f"{case.old_case} -> {case.case}"


def _case_section(case: ComparedCase, common: Sequence[Difference]) -> list[str]:
    parts = [f"## Case: {_plain(_label(case))}"]
    own = [_plain(str(difference)) for difference in case.differences if difference not in common]
    lines = [f"- Differs in: {', '.join(own)}"] if own else []
    if case.withheld is not None:
        lines.append(f"- No verdicts: {_plain(case.withheld.removeprefix(_NO_VERDICT))}")
    if case.busy is not None:
        lines.append(f"- Busy machine: {_plain(case.busy)}")
    if lines:
        parts.append("\n".join(lines))
    if not case.rows:
        return [*parts, "The two made different videos, so there is nothing to compare."]
    for kind, column in (("measure", "Measure"), ("stage", "Stage")):
        rows = [row for row in case.rows if row.kind == kind]
        if rows:
            parts.append(table([_cells(row, column) for row in rows], (column, "Unit", "Verdict")))
    return parts


def _cells(row: ComparedRow, column: str) -> dict[str, str]:
    unit, decimals, factor = _PRINTED[row.unit]
    return {
        column: _plain(row.name),
        "Unit": unit,
        "Baseline": fixed(row.old, decimals, factor),
        "This run": fixed(row.new, decimals, factor),
        "Ratio": fixed(row.ratio),
        "Spread": "none" if row.spread is None else fixed(row.spread, decimals, factor),
        "Verdict": _plain(row.verdict),
    }


def _rules() -> str:
    return table(
        [_rule(policy) for policy in (*POLICIES.values(), OTHER_STAGE, SHOWN_STAGE)],
        ("Measure", "Reason", "Reason for that"),
    )


def _rule(policy: MetricPolicy) -> dict[str, str]:
    unit, _, factor = _PRINTED[policy.unit]
    without = policy.judged and policy.other_gpu_share is None
    other_gpu = "no verdict" if without else fixed(policy.other_gpu_share, 0, 100)
    return {
        "Measure": policy.label,
        "More than (%)": fixed(policy.share if policy.judged else None, 0, 100),
        "And more than": f"{policy.absolute * factor:g} {unit}" if policy.judged else NOT_MEASURED,
        "Reason": policy.reason,
        "On another GPU of this name, more than (%)": other_gpu,
        "Reason for that": policy.other_gpu_reason,
    }


def _plain(text: str) -> str:
    """Text as Markdown shows it as it is, but for the arrow between two values, which needs no entity."""
    return plain(text).replace("-&gt;", "->")
