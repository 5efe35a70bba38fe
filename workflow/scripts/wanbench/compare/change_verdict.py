"""What changed between two runs, and whether it counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wanbench.analysis.numbers import NOT_MEASURED
from wanbench.compare.match import (
    ANOTHER_GPU,
    HARDWARE,
    SETTING,
    Difference,
    Pair,
    differences,
    match,
    other_video,
)
from wanbench.compare.measured_cases import Figure, MeasuredCase
from wanbench.compare.policy import (
    OF_ANY_GENERATION,
    ON_CPU_TIMES,
    POLICIES,
    MetricPolicy,
    cpu_decides,
    stage_policy,
)

SAME, WITHIN_SPREAD, NOT_JUDGED, HARDWARE_UNKNOWN = "same", "within the spread", "not judged", "hardware unknown"
NOT_MEASURED_AGAIN = "not measured again"
HOW_TO_MEASURE_AGAIN = "`--forcerun measure` does, such as after a change of software that no file here names"
ON_ANOTHER_GPU = "no verdict: another GPU of this name"
BUSY_MACHINE = "no verdict: busy machine"
COLD_BESIDE_WARM = "no verdict: a cold generation beside warm ones"
WORSE = ("slower", "more")
BETTER = ("faster", "less")
# Chance seldom takes the difference of two medians further. Of few values the error itself is rough, and it does more
# often: then it is the bounds of the rule that decide.
_ERRORS = 3.0


@dataclass(frozen=True)
class ComparedRow:
    """A measure or the time of a stage in two runs, in the unit of its rule.

    Attributes:
        case: its name in this run.
        kind: "measure" or "stage".
        ratio: new over old; None where one side was not measured, or old is 0.
        spread: the change that chance could make: three standard errors of the difference of the medians; None with one
            value a side.
    """

    case: str
    kind: str
    name: str
    unit: str
    old: float | None
    new: float | None
    ratio: float | None
    spread: float | None
    verdict: str


@dataclass(frozen=True)
class ComparedCase:
    """Two cases held against each other.

    Attributes:
        withheld: why no figure has a verdict; None where figures have one.
        hardware_known: both sides say what they ran on.
        busy: of which side other processes used the CPU, and how much of it; None where of neither.
        failed: it ended well in the baseline, and in this run, of the same settings and hardware (if on another GPU of
            the same name), did not, or its video does not consist of numbers any more.
    """

    case: str
    old_case: str
    differences: tuple[Difference, ...]
    withheld: str | None
    hardware_known: bool
    busy: str | None
    failed: str | None
    rows: tuple[ComparedRow, ...]


@dataclass(frozen=True)
class Comparison:
    """Everything that the comparison says.

    Attributes:
        notes: what a report as the baseline contradicts itself in, and what was made of it.
        excluded: traces that could not be used, with the reason.
    """

    baseline: str
    cases: tuple[ComparedCase, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    excluded: tuple[str, ...]
    notes: tuple[str, ...]


def compare(
    baseline: str,
    old: Sequence[MeasuredCase],
    new: Sequence[MeasuredCase],
    excluded: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Comparison:
    pairs, only_old, only_new = match(old, new)
    return Comparison(
        baseline,
        tuple(compared(pair) for pair in pairs),
        tuple(case.name for case in only_old),
        tuple(case.name for case in only_new),
        tuple(excluded),
        tuple(notes),
    )


def regressions(comparison: Comparison) -> list[str]:
    """One line for each case that got worse. Stages say where it did, and do not decide.

    What grew within its spread does not decide either. Beside what did, it is named.
    """
    lines = []
    for case in comparison.cases:
        measures = [row for row in case.rows if row.kind == "measure"]
        worse = [f"{row.name} {row.verdict}{_times(row.ratio)}" for row in measures if row.verdict in WORSE]
        if case.failed or worse:
            unclear = [f"{row.name} more, but {WITHIN_SPREAD}{_times(row.ratio)}" for row in measures if _unclear(row)]
            lines.append(f"{case.case}: {', '.join([*([case.failed] if case.failed else []), *worse, *unclear])}")
    return lines


def not_measured_again(comparison: Comparison) -> list[str]:
    """Names of the cases whose trace is held against itself."""
    return [case.case for case in comparison.cases if case.withheld == NOT_MEASURED_AGAIN]


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f" ({ratio:.2f} times)"


def _unclear(row: ComparedRow) -> bool:
    return row.verdict == WITHIN_SPREAD and row.new > row.old


def compared(pair: Pair) -> ComparedCase:
    found = differences(pair)
    withheld = _withheld(pair, found)
    moved = any(difference.kind in (SETTING, HARDWARE) for difference in found)
    failed = pair.old.ended_well and not pair.new.ended_well and not moved
    return ComparedCase(
        case=pair.new.name,
        old_case=pair.old.name,
        differences=tuple(found),
        withheld=withheld,
        hardware_known=bool(pair.old.hardware and pair.new.hardware),
        busy=_busy(pair),
        failed=pair.new.doubt if failed else None,
        rows=() if other_video(found) else tuple(_rows(pair, found, withheld)),
    )


def _busy(pair: Pair) -> str | None:
    sides = (("baseline", pair.old.busy_pct), ("this run", pair.new.busy_pct))
    shares = [f"{side} {share_pct:.0f} %" for side, share_pct in sides if share_pct is not None]
    return f"CPU that other processes used: {', '.join(shares)}" if shares else None


def _withheld(pair: Pair, found: Sequence[Difference]) -> str | None:
    # Whatever was changed since, a trace that is held against itself shows nothing of it.
    if pair.old.same_measurement(pair.new):
        return NOT_MEASURED_AGAIN
    settings = [str(difference) for difference in found if difference.kind == SETTING]
    doubts = [f"{side} {case.doubt}" for side, case in (("baseline", pair.old), ("this run", pair.new)) if case.doubt]
    if settings:
        return f"not comparable: {'; '.join([', '.join(settings), *doubts])}"
    if doubts:
        return f"no verdict: {'; '.join(doubts)}"
    if not pair.old.hardware or not pair.new.hardware:
        return HARDWARE_UNKNOWN
    hardware = [difference.what for difference in found if difference.kind == HARDWARE]
    return f"other {', '.join(hardware)}" if hardware else None


def _rows(pair: Pair, found: Sequence[Difference], withheld: str | None) -> list[ComparedRow]:
    old, new = pair.old, pair.new
    loaded = all(case.settings.get("weights") == "pretrained" for case in (old, new))
    stages = [*new.stages, *(stage for stage in old.stages if stage not in new.stages)]
    rules = [("measure", policy.measure, policy.label, policy) for policy in POLICIES.values()]
    rules += [("stage", stage, stage, stage_policy(stage, loaded)) for stage in stages]
    another_gpu = any(difference.kind == ANOTHER_GPU for difference in found)
    unlike = None not in (old.cold_only, new.cold_only) and old.cold_only != new.cold_only
    busy = _busy(pair) is not None
    on_gpu, offload = new.hardware.get("GPU") != "none", new.settings.get("offload")
    rows = []
    for kind, key, name, policy in rules:
        before, after = ((case.figures if kind == "measure" else case.stages).get(key, Figure()) for case in (old, new))
        known = before.value is not None and after.value is not None
        ratio = after.value / before.value if known and before.value else None
        of_another_kind = unlike and policy.judged and key not in OF_ANY_GENERATION
        waited = busy and policy.judged and cpu_decides(key, policy, on_gpu, offload)
        why_none = withheld or (BUSY_MACHINE if waited else COLD_BESIDE_WARM if of_another_kind else None)
        verdict = _verdict(policy, before, after, why_none, another_gpu, on_gpu)
        spread = spread_of(before, after)
        rows.append(ComparedRow(new.name, kind, name, policy.unit, before.value, after.value, ratio, spread, verdict))
    return rows


def _verdict(
    policy: MetricPolicy, old: Figure, new: Figure, withheld: str | None, another_gpu: bool, on_gpu: bool
) -> str:
    # What was not measured has no verdict to withhold.
    if old.value is None or new.value is None:
        return NOT_MEASURED
    if withheld is not None:
        return withheld
    if another_gpu and policy.judged:
        if policy.other_gpu_share is None:
            return ON_ANOTHER_GPU
        policy = replace(policy, share=policy.other_gpu_share)
    if not on_gpu and policy.unit == "s":
        policy = replace(policy, share=ON_CPU_TIMES - 1 if new.value > old.value else 1 - 1 / ON_CPU_TIMES)
    return verdict_of(policy, old, new)


def spread_of(old: Figure, new: Figure) -> float | None:
    """The change that has to be passed, in the unit of the figures; None where neither side has a spread."""
    errors = [figure.error for figure in (old, new) if figure.error is not None]
    return _ERRORS * math.hypot(*errors) if errors else None


def verdict_of(policy: MetricPolicy, old: Figure, new: Figure) -> str:
    """A change counts that passes both bounds of the rule and the spread; one within the bounds is none."""
    if old.value is None or new.value is None:
        return NOT_MEASURED
    if not policy.judged:
        return NOT_JUDGED
    change = new.value - old.value
    if abs(change) <= max(policy.share * abs(old.value), policy.absolute):
        return SAME
    # It may be real, and it may be chance: to call it the same would hide a change of any size.
    if abs(change) <= (spread_of(old, new) or 0.0):
        return WITHIN_SPREAD
    words = WORSE if change > 0 else BETTER
    return words[0] if policy.unit == "s" else words[1]
