"""What a rule is, what it sees, and what it finds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from wanbench.analysis.breakdown import Row
from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import known
from wanbench.analysis.figures import mean_over_time
from wanbench.findings.thresholds import Thresholds
from wanbench.registry import stages as stage_names

if TYPE_CHECKING:
    from wanbench.analysis.one_factor_pairs import Neighbour
    from wanbench.analysis.same_workload import Peers

# In the order of the report.
WARNING, BOTTLENECK, NOTE = SEVERITIES = ("warning", "bottleneck", "note")


@dataclass(frozen=True)
class Finding:
    """Something to know or to act on.

    Attributes:
        rule: name of the rule, stable across reports.
        severity: "warning" (the figures or the run are in danger), "bottleneck" (what holds the case back) or "note".
        evidence: the measured figures that made the rule fire; units are in the keys.
        text: what was found, as the report prints it.
        advice: what to do, and what other cases show of it; empty where there is nothing to do.
        advised: alternatives that the advice names: each is what to set together, as `key: value`, or as `key` for any
            other value of it.
    """

    rule: str
    severity: str
    evidence: dict[str, float]
    text: str
    advice: str = ""
    advised: tuple[tuple[str, ...], ...] = ()

    @property
    def sentences(self) -> str:
        return f"{self.text} {self.advice}".strip()

    @property
    def advised_alone(self) -> tuple[str, ...]:
        """Settings that are advised without another beside them."""
        return tuple(settings[0] for settings in self.advised if len(settings) == 1)


@dataclass(frozen=True)
class Context:
    """What a rule may look at.

    Attributes:
        case: the case's row of the cases table.
        rows: its stages as the report lists them.
        typical_rows: of those, inference of the steps after the first and without the expert-switch step, in order.
        stages: its rows of the stages table, None for what was not measured.
        neighbours: cases of the report that differ in one setting (and maybe in the GPU and the steps).
        peers: cases of the report that made the same video on the same kind of GPU.
        advised: settings that the findings before this rule advise, each alone.
    """

    case: CaseRow
    rows: Sequence[Row]
    typical_rows: Sequence[Row]
    stages: Sequence[dict[str, Any]]
    neighbours: Sequence["Neighbour"]
    peers: "Peers"
    thresholds: Thresholds
    advised: tuple[str, ...] = ()

    def row(self, stage: str) -> Row | None:
        return next((row for row in self.rows if row.stage == stage), None)

    def number(self, key: str) -> float | None:
        """A figure of the case, None where it was not measured."""
        return known(self.case[key])

    @property
    def failed_checks(self) -> list[str]:
        return str(self.case["failed_checks"]).split()

    @property
    def ran_to_its_end(self) -> bool:
        return self.case["status"] == stage_names.OK


@dataclass(frozen=True)
class Rule:
    """A rule of the report.

    Attributes:
        explanation: for readers: what it means, what it is measured from, why the threshold, what to do.
        check: findings in a case; none where the figures that it needs were not measured.
        of_activity: it rests on the activity of multiprocessors, so that it has no say of several GPUs, whose waiting
            for each other counts as activity, and keeps a core of the CPU busy for each.
    """

    name: str
    explanation: str
    check: Callable[[Context], Iterator[Finding]]
    of_activity: bool = False


def on_the_cpu(context: Context) -> bool:
    """Whether the case ran without a GPU, so that it has neither clocks nor a temperature of one."""
    return pd.notna(context.case["device"]) and context.case["device"] == "cpu"


def executed(context: Context) -> tuple[float, str] | None:
    """Seconds of Total_Execution that mean something, and their name; None where it was not reached.

    Random weights are made and not loaded: how long that takes means nothing.
    """
    total, made = context.row(stage_names.TOTAL_EXECUTION), made_at_random(context)
    if total is None or not total.time_s:
        return None
    if made is None:
        return total.time_s, stage_names.TOTAL_EXECUTION
    rest_s = total.time_s - made.time_s
    return (rest_s, f"{stage_names.TOTAL_EXECUTION} without {stage_names.MODEL_INITIALIZATION}") if rest_s > 0 else None


def made_at_random(context: Context) -> Row | None:
    """Initialisation, where it made random weights."""
    return context.row(stage_names.MODEL_INITIALIZATION) if context.case["weights"] == "random" else None


def typical_rows(rows: Iterable[Row], stages: Iterable[dict[str, Any]]) -> list[Row]:
    """Those that a `Context` has by this name."""
    switches = switch_steps(stages)
    indices = ((stage_names.step_index(row.stage), row) for row in rows)
    return [
        row
        for index, row in indices
        if index and index not in switches and row.stage == stage_names.step_inference(index) and not row.interrupted
    ]


def switch_steps(stages: Iterable[dict[str, Any]]) -> set[int]:
    """Numbers of the steps that are the first of another expert."""
    experts = {stage["step"]: stage["expert"] for stage in stages if stage["step"] is not None}
    return {step for step in experts if step - 1 in experts and experts[step] != experts[step - 1]}


def typical_stages(context: Context) -> list[dict[str, Any]]:
    """What `typical_rows` sums up: each of these stages in each of the generations that count, in order."""
    names_of_typical = {row.stage for row in context.typical_rows}
    return [stage for stage in context.stages if stage["stage"] in names_of_typical and stage["measured"]]


def computed_in_full(context: Context) -> list[dict[str, Any]]:
    """Of `typical_stages` those in which a cache served no pass: they compare with steps that it cannot serve."""
    return [stage for stage in typical_stages(context) if not stage["passes_reused"]]


def in_typical_steps(context: Context) -> str:
    """The steps that figures of denoising rest on, in words: one step is weak evidence."""
    return "typical steps" if len(context.typical_rows) > 1 else "the only typical step"


def denoising_mean(context: Context, measure: str) -> float | None:
    """Mean of a share over the typical steps, weighted by time."""
    return mean_over_time((getattr(row, measure), row.time_s) for row in context.typical_rows)


def generation_stages(context: Context) -> list[dict[str, Any]]:
    """Stages of the generations that count, without compilation, which is paid once."""
    return [
        stage
        for stage in context.stages
        if stage["generation"] is not None and stage["measured"] and stage["stage"] != stage_names.COMPILATION
    ]


def total_of(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value is not None)


def matches(advice: str, setting: str) -> bool:
    """Whether advice, `key: value` or `key`, speaks of a setting, `key: value` and maybe what belongs to it."""
    return setting == advice or setting.startswith((f"{advice}: ", f"{advice}, "))
