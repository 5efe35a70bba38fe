"""What a rule is, what it sees, and what it finds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from wanbench.report.breakdown import Row
from wanbench.report.figures import mean_over_time
from wanbench.report.findings.thresholds import Thresholds
from wanbench.trace import names

if TYPE_CHECKING:
    from wanbench.report.findings.neighbours import Neighbour

# In the order of the report.
WARNING, BOTTLENECK, NOTE = SEVERITIES = ("warning", "bottleneck", "note")


@dataclass(frozen=True)
class Finding:
    """Something to know or to act on.

    Attributes:
        rule: name of the rule, stable across reports.
        severity: "warning" (the figures or the run are in danger), "bottleneck" (what holds the case back) or "note".
        evidence: the measured figures that made the rule fire; units are in the keys.
        text: the finding and the advice, as the report prints them.
        advised: settings that the advice names, as `key: value`, or as `key` for any other value of it.
    """

    rule: str
    severity: str
    evidence: dict[str, float]
    text: str
    advised: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """What a rule may look at.

    Attributes:
        case: the case's row of the cases table.
        rows: its stages as the report lists them.
        stages: its rows of the stages table, None for what was not measured.
        neighbours: cases of the report that differ in one setting.
        advised: settings that the findings before this rule advise.
    """

    case: pd.Series
    rows: Sequence[Row]
    stages: Sequence[dict[str, Any]]
    neighbours: Sequence["Neighbour"]
    thresholds: Thresholds
    advised: tuple[str, ...] = ()

    def row(self, stage: str) -> Row | None:
        return next((row for row in self.rows if row.stage == stage), None)

    def number(self, key: str) -> float | None:
        """A figure of the case, None where it was not measured."""
        return known(self.case[key])

    @property
    def faults(self) -> list[str]:
        return str(self.case["faults"]).split()

    @property
    def ran_to_its_end(self) -> bool:
        return self.case["status"] == names.OK


@dataclass(frozen=True)
class Rule:
    """A rule of the report.

    Attributes:
        explanation: for readers: what it means, what it is measured from, why the threshold, what to do.
        check: findings in a case; none where the figures that it needs were not measured.
    """

    name: str
    explanation: str
    check: Callable[[Context], Iterator[Finding]]


def known(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def can_compile(case: pd.Series) -> bool:
    """Whether compiling is advice that a case could follow: it does not yet, and its offload allows it."""
    return bool(case["compile"] == "none" and case["offload"] in ("none", "model"))


def typical_rows(context: Context) -> list[Row]:
    """Inference of the steps after the first and without the expert-switch step, in order."""
    switches = switch_steps(context)
    indices = ((names.step_index(row.stage), row) for row in context.rows)
    return [
        row
        for index, row in indices
        if index and index not in switches and row.stage == names.step_inference(index) and not row.interrupted
    ]


def switch_steps(context: Context) -> set[int]:
    """Numbers of the steps that are the first of another expert."""
    experts = {stage["step"]: stage["expert"] for stage in context.stages if stage["step"] is not None}
    return {step for step in experts if step - 1 in experts and experts[step] != experts[step - 1]}


def denoising_mean(context: Context, measure: str) -> float | None:
    """Mean of a share over the typical steps, weighted by time."""
    return mean_over_time((getattr(row, measure), row.time_s) for row in typical_rows(context))


def generation_stages(context: Context) -> list[dict[str, Any]]:
    """Stages of the generations that count, without compilation, which is paid once."""
    return [
        stage
        for stage in context.stages
        if stage["generation"] is not None and stage["counted"] and stage["stage"] != names.COMPILATION
    ]


def total_of(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value is not None)


def matches(advice: str, setting: str) -> bool:
    """Whether advice, `key: value` or `key`, speaks of a setting, `key: value` and maybe what belongs to it."""
    return setting == advice or setting.startswith((f"{advice}: ", f"{advice}, "))
