"""What changed between two runs, and whether it is more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from wanbench.analysis.collect import collect
from wanbench.analysis.numbers import NOT_MEASURED
from wanbench.compare.match import ANOTHER_GPU, HARDWARE, SETTING, Difference, differences, match, other_video
from wanbench.compare.policy import MEASURE, MEASURES, ON_CPU_TIMES, STAGE, MetricPolicy, policy_of
from wanbench.compare.sides import Side, ended_well, side_of
from wanbench.compare.video_change import VideoChange, Videos, video_changes
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError
from wanbench.util.redaction import redacted

SAME, WITHIN_SPREAD, NOT_JUDGED = "same", "within the spread", "not judged"
NOT_MEASURED_AGAIN = "not measured again"
ON_ANOTHER_GPU = "no verdict: another GPU of this name"
BUSY_MACHINE = "no verdict: busy machine"
COLD_BESIDE_WARM = "no verdict: a cold generation beside warm ones"
WORSE = ("slower", "more")
BETTER = ("faster", "less")
# Chance seldom takes the difference of two medians further. Of few values the error itself is rough, and it does more
# often: then it is the bounds of the rule that decide.
_ERRORS = 3.0
_VALUES = ["value", "standard_error"]
_COLUMNS = ["case", "old_case", "kind", "key", "name", "unit", "old", "new", "ratio", "spread", "verdict"]


@dataclass(frozen=True)
class ComparedCase:
    """Two cases held against each other.

    Attributes:
        withheld: why no figure has a verdict; None where figures have one.
        busy: of which side other processes used the CPU, and how much of it; None where of neither.
        failed: it ended well in the baseline, and in this run, of the same settings and hardware (if on another GPU of
            the same name), did not, or its video does not consist of numbers any more.
        cold_beside_warm: one side has its first, cold generation alone, and the other has warm ones.
        on_gpu: and, `gpu_alone`, without weight transfers.
        loaded: both sides loaded their weights from a checkpoint.
    """

    case: str
    old_case: str
    differences: tuple[Difference, ...]
    withheld: str | None
    busy: str | None
    failed: str | None
    cold_beside_warm: bool
    on_gpu: bool
    gpu_alone: bool
    loaded: bool


@dataclass(frozen=True)
class Comparison:
    """Everything that the comparison tells.

    Attributes:
        rows: one row a measure or a stage of a pair of cases: `case`, its name in this run; `old_case`; `kind`
            ("measure" or "stage"); `name`; `old`, `new` and `spread` in `unit`; `ratio`, new over old; `verdict`. Empty
            is what was not measured. `spread` is the change that chance could make: three standard errors of the
            difference of the medians; empty with one value a side.
        excluded: traces that could not be used, with the reason.
        videos: cases that made another video, of the same settings.
    """

    baseline: str
    cases: tuple[ComparedCase, ...]
    rows: pd.DataFrame
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    excluded: tuple[str, ...]
    videos: tuple[VideoChange, ...] = ()


def compared_runs(
    baseline: str,
    baseline_files: Sequence[Path],
    traces: Sequence[Path],
    stale: Mapping[str, str],
    limits: Limits,
    busy_machine_pct: float,
    videos: Videos,
    processes: int = 1,
) -> Comparison:
    """The comparison of this run's traces with a baseline.

    Args:
        baseline: as the user named it; the comparison names it without home folder and account.
        baseline_files: its traces.
        stale: traces of this run that must not be used, by case, with the reason.
        limits: for the verdict on each trace of both sides, whatever it was measured with.
        busy_machine_pct: as `side_of` takes it.
        videos: what was kept of the videos of both sides.
        processes: that read at the same time.

    Raises:
        InputError: no trace of the baseline can be used.
    """
    usable = [file for file in traces if file.name.removesuffix(".json") not in stale]
    new, unread = collect(usable, None, limits, processes)
    old, unusable = collect(baseline_files, None, limits, processes)
    if not old:
        reasons = [item.reason for item in unusable]
        raise InputError("\n".join([f"baseline {baseline}: no trace can be used:", *reasons]))
    excluded = [f"this run: {reason}" for reason in (*stale.values(), *(item.reason for item in unread))]
    excluded += [redacted(f"baseline: {item.reason}") for item in unusable]
    comparison = compare(redacted(baseline), side_of(old, busy_machine_pct), side_of(new, busy_machine_pct), excluded)
    old_of, new_of = ({trace.case["name"]: trace for trace in side} for side in (old, new))
    pairs = [(old_of[case.old_case], new_of[case.case], case.differences) for case in comparison.cases]
    return replace(comparison, videos=video_changes(pairs, videos))


def compare(baseline: str, old: Side, new: Side, excluded: Sequence[str] = ()) -> Comparison:
    pairs = match(old, new)
    both = _both(pairs, old.spread, new.spread)
    old_cases, new_cases = (each.cases.set_index("case", drop=False) for each in (old, new))
    figures = dict(list(both.groupby("case", sort=False)))
    cases = [
        _compared(old_cases.loc[pair.old_case], new_cases.loc[pair.case], figures[pair.case])
        for pair in pairs.itertuples()
    ]
    judged = [_judged(case, figures[case.case]) for case in cases if not other_video(case.differences)]
    only_old, only_new = (
        tuple(name for name in each.cases["case"] if name not in set(pairs[column]))
        for each, column in ((old, "old_case"), (new, "case"))
    )
    rows = pd.concat(judged, ignore_index=True) if judged else pd.DataFrame(columns=_COLUMNS)
    return Comparison(baseline, tuple(cases), rows, only_old, only_new, tuple(excluded))


def _both(pairs: pd.DataFrame, old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """The two sides' spread beside each other: all measures, then the stages that either has, of each pair."""
    old = pairs.merge(old.rename(columns={"case": "old_case"}), on="old_case")
    new = pairs.merge(new, on="case")
    keys = ["old_case", "case", "kind", "key"]
    measures = pairs.assign(kind=MEASURE).merge(pd.DataFrame({"key": MEASURES}), how="cross")
    every = pd.concat([measures, *(each.loc[each["kind"] == STAGE, keys] for each in (new, old))]).drop_duplicates()
    every = every.merge(old[keys + _VALUES], on=keys, how="left")
    return every.merge(new[keys + _VALUES], on=keys, how="left", suffixes=("_old", "_new"))


def _compared(old: pd.Series, new: pd.Series, figures: pd.DataFrame) -> ComparedCase:
    found = differences(old, new)
    # Two cases may begin in one second, and no two take the same time to the microsecond.
    values = [figures[[f"{key}_{side}" for key in _VALUES]].to_numpy(float) for side in ("old", "new")]
    same_run = old["started_at"] == new["started_at"] and pd.DataFrame(values[0]).equals(pd.DataFrame(values[1]))
    elsewhere = any(difference.kind in (SETTING, HARDWARE) for difference in found)
    shares = [(side, case["busy_pct"]) for side, case in (("baseline", old), ("this run", new))]
    busy = ", ".join(f"{side} {share_pct:.0f} %" for side, share_pct in shares if share_pct is not None)
    on_gpu = new["hardware"].get("GPU") != "none"
    return ComparedCase(
        case=new["case"],
        old_case=old["case"],
        differences=tuple(found),
        # Whatever was changed since, a trace that is held against itself shows nothing of it.
        withheld=NOT_MEASURED_AGAIN if same_run else _withheld(old, new, found),
        busy=f"CPU that other processes used: {busy}" if busy else None,
        failed=new["doubt"] if ended_well(old) and not ended_well(new) and not elsewhere else None,
        cold_beside_warm=old["cold_only"] != new["cold_only"],
        on_gpu=on_gpu,
        gpu_alone=on_gpu and new["settings"].get("offload") == "none",
        loaded=all(case["settings"].get("weights") == "pretrained" for case in (old, new)),
    )


def _withheld(old: pd.Series, new: pd.Series, found: Sequence[Difference]) -> str | None:
    settings = [str(difference) for difference in found if difference.kind == SETTING]
    doubts = [f"{side} {case['doubt']}" for side, case in (("baseline", old), ("this run", new)) if case["doubt"]]
    if settings:
        return f"not comparable: {'; '.join([', '.join(settings), *doubts])}"
    if doubts:
        return f"no verdict: {'; '.join(doubts)}"
    hardware = [difference.what for difference in found if difference.kind == HARDWARE]
    return f"other {', '.join(hardware)}" if hardware else None


def _judged(case: ComparedCase, figures: pd.DataFrame) -> pd.DataFrame:
    policies = [policy_of(key, case.loaded) for key in figures["key"]]
    labels = [
        policy.label if kind == MEASURE else key for policy, kind, key in zip(policies, figures["kind"], figures["key"])
    ]
    errors = figures[["standard_error_old", "standard_error_new"]].astype(float)
    spread = _ERRORS * (errors**2).sum(axis=1, min_count=1) ** 0.5
    old, new = (figures[f"value_{side}"].astype(float) for side in ("old", "new"))
    judged = figures[["case", "old_case", "kind", "key"]].assign(
        name=labels,
        unit=[policy.unit for policy in policies],
        old=old,
        new=new,
        ratio=new / old.where(old != 0),
        spread=spread,
    )
    rows = zip(policies, old, new, spread)
    return judged.assign(verdict=[verdict_of(policy, case, *row) for policy, *row in rows])


def verdict_of(policy: MetricPolicy, case: ComparedCase, old: float, new: float, spread: float) -> str:
    """The verdict on one measure or stage of two cases; what was not measured (NaN) has none to withhold."""
    if math.isnan(old) or math.isnan(new):
        return NOT_MEASURED
    if case.withheld is not None:
        return case.withheld
    if not policy.judged:
        return NOT_JUDGED
    by_the_gpu = policy.unit == "bytes" or (case.gpu_alone and policy.by_the_gpu)
    if case.busy is not None and not by_the_gpu:
        return BUSY_MACHINE
    if case.cold_beside_warm and not policy.whole_process:
        return COLD_BESIDE_WARM
    if any(difference.kind == ANOTHER_GPU for difference in case.differences):
        if policy.other_gpu_share is None:
            return ON_ANOTHER_GPU
        policy = replace(policy, share=policy.other_gpu_share)
    if not case.on_gpu and policy.unit == "s":
        policy = replace(policy, share=ON_CPU_TIMES - 1 if new > old else 1 - 1 / ON_CPU_TIMES)
    return change_of(policy, old, new, spread)


def change_of(policy: MetricPolicy, old: float, new: float, spread: float = math.nan) -> str:
    """A change that passes both bounds of the rule and the spread is one; one within the bounds is none."""
    change = new - old
    if abs(change) <= max(policy.share * abs(old), policy.absolute):
        return SAME
    # It may be real, and it may be chance: to call it the same would hide a change of any size.
    if abs(change) <= spread:
        return WITHIN_SPREAD
    words = WORSE if change > 0 else BETTER
    return words[0] if policy.unit == "s" else words[1]


def regressions(comparison: Comparison) -> list[str]:
    """One line for each case that got worse. Stages show where it did, and do not decide.

    What grew within its spread does not decide either. Beside what did, it is named.
    """
    measures = comparison.rows[comparison.rows["kind"] == MEASURE]
    lines = []
    for case in comparison.cases:
        found = [case.failed] if case.failed else []
        unclear = []
        for row in measures[measures["case"] == case.case].itertuples():
            times = "" if math.isnan(row.ratio) else f" ({row.ratio:.2f} times)"
            if row.verdict in WORSE:
                found.append(f"{row.name} {row.verdict}{times}")
            elif row.verdict == WITHIN_SPREAD and row.new > row.old:
                unclear.append(f"{row.name} more, but {WITHIN_SPREAD}{times}")
        if found:
            lines.append(f"{case.case}: {', '.join(found + unclear)}")
    return lines


def not_measured_again(comparison: Comparison) -> list[str]:
    """Names of the cases whose trace is held against itself."""
    return [case.case for case in comparison.cases if case.withheld == NOT_MEASURED_AGAIN]
