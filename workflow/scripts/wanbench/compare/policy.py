"""When a change is more than chance: the rules of the comparison, as data (policies.csv)."""

import csv
from dataclasses import dataclass
from pathlib import Path

# What a row of the comparison is of.
MEASURE, STAGE = "measure", "stage"
# Of all denoising steps of a case three rows are made, each of the values of a figure.
STEP_STAGES = {"First_Step": "first_step_s", "Typical_Step": "step_s", "Switch_Step": "switch_step_s"}
# On the CPU one time must be more than so many times the other, in place of the share: equal tiny cases were up to
# 1.5 times apart on a virtual machine whose host others use too, which no figure of the machine tells.
ON_CPU_TIMES = 2


@dataclass(frozen=True)
class MetricPolicy:
    """How much a measure must change for a verdict: more than both bounds, and more than the spread.

    Attributes:
        measure: its column of the cases table; the last two rows are of stages that no other row names.
        label: the measure as the comparison prints it.
        unit: of the measure and of `absolute`: "s", "bytes", "J", or "pct_s" (percent-seconds).
        share: of the baseline's value.
        other_gpu_share: in place of `share` where the two cases ran on two GPUs of one name; None where there is no
            verdict then.
        judged: whether it has verdicts, or is only shown. Of every judged measure less is better.
        whole_process: the same whether a side has warm generations or only its first, cold one. Memory on the host is
            not: later generations need a third more.
        by_the_gpu: what the GPU decides, as long as no weight transfers are in it.
        stages: names of stages whose time it is the rule for.
        reason, other_gpu_reason: why these bounds, or why there is no verdict. "Between two H200s" is what equal
            settings took on two GPUs of results/reference/h200.
    """

    measure: str
    label: str
    unit: str
    share: float
    absolute: float
    other_gpu_share: float | None
    judged: bool
    whole_process: bool
    by_the_gpu: bool
    stages: list[str]
    reason: str
    other_gpu_reason: str


def _read(row: dict[str, str]) -> MetricPolicy:
    truths = {key: row[key] == "yes" for key in ("judged", "whole_process", "by_the_gpu")}
    bounds = {key: float(row[key] or 0) for key in ("share", "absolute")}
    other_gpu_share = float(row["other_gpu_share"]) if row["other_gpu_share"] else None
    return MetricPolicy(**row | truths | bounds | {"other_gpu_share": other_gpu_share, "stages": row["stages"].split()})


with Path(__file__).with_name("policies.csv").open(encoding="utf-8", newline="") as _file:
    POLICIES = {row["measure"]: _read(row) for row in csv.DictReader(_file)}
# Those of measures; the others are of stages alone.
MEASURES = [key for key in POLICIES if key not in ("stage_s", "shown_stage_s")]
_OF_STAGES = {stage: policy for policy in POLICIES.values() for stage in policy.stages}


def policy_of(key: str, loaded: bool) -> MetricPolicy:
    """The rule for a measure, or for the time of a stage.

    Args:
        loaded: the weights were loaded from a checkpoint on both sides, so that initialisation means something.
    """
    if key == "Model_Initialization" and not loaded:
        return POLICIES["shown_stage_s"]
    return POLICIES.get(key) or _OF_STAGES.get(key) or POLICIES["shown_stage_s"]
