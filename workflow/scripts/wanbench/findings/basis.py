"""What a rule sees, and what it finds. A rule is a function of this context; its name is that of its sentences."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from wanbench.analysis.breakdown import Row
from wanbench.analysis.figures import mean_over_time
from wanbench.analysis.tables import TableRow, TableRows
from wanbench.cases.case import Case
from wanbench.models.facts import MODELS
from wanbench.registry import stages as stage_names

# In the order of the report.
WARNING, BOTTLENECK, NOTE = SEVERITIES = ("warning", "bottleneck", "note")


@dataclass(frozen=True)
class Found:
    """What a rule found.

    Attributes:
        severity: "warning" (the figures or the run are in danger), "bottleneck" (what holds the case back) or "note".
        evidence: the measured figures that made the rule fire; units are in the keys.
        advised: alternatives that the advice names: each is what to set together, as `key: value`, or as `key` for any
            other value of it.
        said: what its sentences need besides.
    """

    severity: str
    evidence: dict[str, float]
    advised: Sequence[Sequence[str]] = ()
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a rule may look at: a case's row of the cases table, and its rows of the other tables.

    `rows` are its stages as the report lists them. What was not measured is None. `thresholds` are the numbers of
    config/thresholds.yaml, by its keys.
    """

    case: TableRow
    rows: Sequence[Row]
    stages: TableRows
    pairs: TableRows
    thresholds: SimpleNamespace
    kernels: TableRows = ()

    def row(self, stage: str) -> Row | None:
        return next((row for row in self.rows if row.stage == stage), None)

    def number(self, key: str) -> float | None:
        """A figure of the case, None where it was not measured."""
        return None if self.case[key] is None else float(self.case[key])

    def numbers(self, *keys: str) -> dict[str, float]:
        """Figures of the case as evidence; none of what was not measured."""
        return {key: value for key in keys if (value := self.number(key)) is not None}

    @cached_property
    def as_case(self) -> Case:
        """The case as it ran; None for the digests, which no column has."""
        values = {key: self.case.get(key) for key in Case.__dataclass_fields__}
        scales = (self.case["guidance_first"], self.case["guidance_second"])
        guidance = tuple(float(scale) for scale in scales if scale is not None)
        return Case(**values | {"name": self.case["case"], "guidance": guidance})

    @property
    def failed_checks(self) -> list[str]:
        return str(self.case["failed_checks"]).split()

    @property
    def official_steps(self) -> int:
        return MODELS[self.case["model"]].steps

    @property
    def on_the_cpu(self) -> bool:
        return self.case["device"] == "cpu"

    @cached_property
    def switch_steps(self) -> set[int]:
        """Numbers of the steps that are the first of another expert."""
        experts = {stage["step"]: stage["expert"] for stage in self.stages if stage["step"] is not None}
        return {step for step in experts if step - 1 in experts and experts[step] != experts[step - 1]}

    @cached_property
    def typical_rows(self) -> list[Row]:
        """Inference of the steps after the first and without the expert-switch step, in order."""
        inference = [row for row in self.rows if row.stage.endswith("_Inference") and not row.interrupted]
        return [row for row in inference if stage_names.step_index(row.stage) not in {0, *self.switch_steps}]

    def denoising_mean(self, measure: str) -> float | None:
        """Mean of a share over the typical steps, weighted by time."""
        return mean_over_time((getattr(row, measure), row.time_s) for row in self.typical_rows)

    def typical(self, values: Sequence[float]) -> float:
        """What stands for a step, as s/step does: with a cache the mean. 0 without typical steps."""
        return (statistics.median if self.case["cache"] == "none" else statistics.fmean)(values or [0.0])

    @property
    def made_at_random(self) -> Row | None:
        """Initialisation, where it made random weights: how long that takes means nothing."""
        return self.row(stage_names.MODEL_INITIALIZATION) if self.case["weights"] == "random" else None

    @property
    def executed_s(self) -> float | None:
        """Seconds of Total_Execution that mean something, without `made_at_random`; None where it was not reached."""
        total, made = self.row(stage_names.TOTAL_EXECUTION), self.made_at_random
        rest_s = (total.time_s if total else 0.0) - (made.time_s if made else 0.0)
        return rest_s if rest_s > 0 else None
