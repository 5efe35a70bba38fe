"""What changed between two runs, and whether it is more than chance."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from wanbench.analysis.collect import collect
from wanbench.analysis.numbers import NOT_MEASURED
from wanbench.analysis.tables import TableRows
from wanbench.compare.match import ANOTHER_GPU, HARDWARE, SETTING, Difference, differences, in_all, match
from wanbench.compare.sides import WORDS, SideCase, side_of
from wanbench.compare.video_change import Videos, video_changes
from wanbench.registry.policies import MEASURE, MEASURES, ON_CPU_TIMES, POLICIES, STAGE, MetricPolicy, policy_of
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError
from wanbench.util.redaction import redacted

SCHEMA_VERSION = 2
SAME, WITHIN_SPREAD, NOT_JUDGED = "same", "within the spread", "not judged"
NOT_MEASURED_AGAIN = "not measured again"
WORSE = ("slower", "more")
# Cases that differ in one of these made different videos: no figure of one says anything about the other.
_SAME_VIDEO = ("model", "task", "size", "frames")
# Chance seldom takes the difference of two medians further. Of few values the error itself is rough, and it does more
# often: then it is the bounds of the rule that decide.
_ERRORS = 3.0


@dataclass(frozen=True)
class Pair:
    """A case of the baseline and one of this run that belong together."""

    old: SideCase
    new: SideCase

    @cached_property
    def differences(self) -> list[Difference]:
        return differences(self.old, self.new)

    def differing(self, kind: str) -> list[Difference]:
        return [difference for difference in self.differences if difference.kind == kind]

    @cached_property
    def withheld(self) -> str:
        """Why no figure has a verdict; empty where figures have one."""
        # Two cases may begin in one second, and no two take the same time to the microsecond. Whatever was changed
        # since, a trace that is held against itself shows nothing of it.
        if self.old.started_at == self.new.started_at and self.old.figures == self.new.figures:
            return NOT_MEASURED_AGAIN
        doubts = {"baseline": self.old.doubt, "this run": self.new.doubt}
        hardware = [difference.what for difference in self.differing(HARDWARE)]
        return WORDS.withheld(self.differing(SETTING), doubts, hardware)

    @property
    def busy(self) -> str:
        """Of which side other processes used the CPU, and how much of it; empty where of neither."""
        return WORDS.busy({"baseline": self.old.busy_pct, "this run": self.new.busy_pct})

    @property
    def failed(self) -> str:
        """Why it is worse that did well in the baseline, with the same settings and hardware, and no longer does."""
        well_before = self.old.ended_well and not self.differing(SETTING) and not self.differing(HARDWARE)
        return self.new.doubt if well_before and not self.new.ended_well else ""


def compared_runs(
    baseline: str,
    baseline_files: Sequence[Path],
    traces: Sequence[Path],
    stale: Mapping[str, str],
    limits: Limits,
    busy_machine_pct: float,
    videos: Videos,
    processes: int = 1,
) -> dict[str, Any]:
    """The comparison of this run's traces with a baseline, as `compare` has it.

    Args:
        baseline: as the user named it; the comparison names it without home folder and account.
        stale: traces of this run that must not be used, by case, with the reason.
        limits: for the verdict on each trace of both sides, whatever it was measured with.

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
    comparison = compare(redacted(baseline), *(side_of(each, busy_machine_pct) for each in (old, new)), excluded)
    old_of, new_of = ({trace.case["name"]: trace for trace in side} for side in (old, new))
    pairs = [(old_of[case["old_case"]], new_of[case["case"]], case["differences"]) for case in comparison["cases"]]
    return comparison | {"videos": video_changes(pairs, videos)}


def compare(
    baseline: str, old: Sequence[SideCase], new: Sequence[SideCase], excluded: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything that the comparison tells, as its JSON has it; units are those of the rows and rules.

    Keys: `rows` as docs/tables.md has them, `videos` as `video_changes` does, and `excluded`, traces that could not be
    used, with the reason.
    """
    pairs = [Pair(*both) for both in match(old, new)]
    rows = {pair.new.case: list(_rows(pair)) for pair in pairs}
    # Those of stages show where a case got worse, and decide nothing.
    measures = {case: [row for row in of_case if row["kind"] == MEASURE] for case, of_case in rows.items()}
    verdicts = Counter(row["verdict"] for of_case in measures.values() for row in of_case)
    worse = [_regression(pair, measures[pair.new.case]) for pair in pairs]
    paired_old = {pair.old.case for pair in pairs}
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": baseline,
        "verdicts": dict(sorted(verdicts.items())),
        "worse": [line for line in worse if line],
        # Their trace is held against itself.
        "not_measured_again": [pair.new.case for pair in pairs if pair.withheld == NOT_MEASURED_AGAIN],
        "rules": [asdict(policy) for policy in POLICIES.values()],
        # Of hardware and software, in all cases; each case has its own as well.
        "differences": [asdict(item) for item in in_all([pair.differences for pair in pairs])],
        "cases": [
            {"case": pair.new.case, "old_case": pair.old.case, "differences": list(map(asdict, pair.differences))}
            | {key: getattr(pair, key) or None for key in ("withheld", "busy", "failed")}
            for pair in pairs
        ],
        "rows": [row for of_case in rows.values() for row in of_case],
        "only_old": [case.case for case in old if case.case not in paired_old],
        "only_new": [case.case for case in new if case.case not in rows],
        "excluded": list(excluded),
        "videos": [],
    }


def _rows(pair: Pair) -> Iterator[dict[str, Any]]:
    """All measures, then the stages that either side has; none of two videos that have nothing in common."""
    if any(difference.what in _SAME_VIDEO for difference in pair.differing(SETTING)):
        return
    old, new = pair.old.figures, pair.new.figures
    stages = [of_kind for of_kind in (new | old) if of_kind[0] == STAGE]
    loaded = all(case.settings.get("weights") == "pretrained" for case in (pair.old, pair.new))
    for kind, key in [*((MEASURE, key) for key in MEASURES), *stages]:
        policy = policy_of(key, loaded)
        (before, *errors), (now, *others) = (figures.get((kind, key), (None, None)) for figures in (old, new))
        known = [error for error in (*errors, *others) if error is not None]
        spread = _ERRORS * math.hypot(*known) if known else None
        yield {
            "case": pair.new.case,
            "old_case": pair.old.case,
            "kind": kind,
            "name": policy.label if kind == MEASURE else key,
            "unit": policy.unit,
            "old": before,
            "new": now,
            "ratio": now / before if before and now is not None else None,
            "spread": spread,
            "verdict": NOT_MEASURED if None in (before, now) else verdict_of(policy, pair, before, now, spread or 0.0),
        }


def verdict_of(policy: MetricPolicy, pair: Pair, old: float, new: float, spread: float) -> str:
    if pair.withheld:
        return pair.withheld
    if not policy.judged:
        return NOT_JUDGED
    on_gpu = pair.new.hardware.get("GPU") != "none"
    gpu_alone = on_gpu and pair.new.settings.get("offload") == "none"
    if pair.busy and not (policy.unit == "bytes" or (gpu_alone and policy.by_the_gpu)):
        return "no verdict: busy machine"
    if pair.old.cold_only != pair.new.cold_only and not policy.whole_process:
        return "no verdict: a cold generation beside warm ones"
    if pair.differing(ANOTHER_GPU):
        if policy.other_gpu_share is None:
            return "no verdict: another GPU of this name"
        policy = replace(policy, share=policy.other_gpu_share)
    if not on_gpu and policy.unit == "s":
        policy = replace(policy, share=ON_CPU_TIMES - 1 if new > old else 1 - 1 / ON_CPU_TIMES)
    return change_of(policy, old, new, spread)


def change_of(policy: MetricPolicy, old: float, new: float, spread: float = 0.0) -> str:
    """A change that passes both bounds of the rule and the spread is one; one within the bounds is none."""
    change = new - old
    if abs(change) <= max(policy.share * abs(old), policy.absolute):
        return SAME
    # It may be real, and it may be chance: to call it the same would hide a change of any size.
    if abs(change) <= spread:
        return WITHIN_SPREAD
    words = WORSE if change > 0 else ("faster", "less")
    return words[0] if policy.unit == "s" else words[1]


def _regression(pair: Pair, measures: TableRows) -> str:
    """What got worse of a case; empty where nothing did.

    What grew within its spread does not decide either. Beside what did, it is named.
    """
    worse = [row for row in measures if row["verdict"] in WORSE]
    unclear = [row for row in measures if row["verdict"] == WITHIN_SPREAD and row["new"] > row["old"]]
    return WORDS.regression(pair.new.case, pair.failed, worse, unclear) if pair.failed or worse else ""
