"""Run one trial after the other, each as an ordinary case of this workflow, until the search is finished.

Each trial is a run of Snakemake in a folder of its own, `results/tune/NAME`, with a grid file of all trials so far: a
case in a process of its own, with its checks and the locks of GPUs.
"""

import fcntl
import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from wanbench.analysis.collect import collect
from wanbench.analysis.tables import tables_of
from wanbench.cases.case import case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically
from wanbench.tuning.goal import Goal
from wanbench.tuning.search import Search
from wanbench.tuning.trials import NOT_TRIED, Answer, answers_of
from wanbench.util.errors import InputError
from wanbench.util.lifeline import die_with_parent

_GRID, _LOG = "grid.yaml", "tune.log"


@dataclass
class Tuning:
    """A tuning in a folder.

    Attributes:
        command: Snakemake.
        options: its Snakefile and how software is deployed.
        digests: that a trace must have, `measure` and `env`.
    """

    goal: Goal
    folder: Path
    command: list[str]
    options: list[str]
    digests: Mapping[str, str]
    limits: Limits
    _settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)
    _earlier_s: float = 0.0

    def run(self) -> Search:
        """Measure what the search asks for until it asks for nothing more, or the time is over.

        Raises:
            InputError: the same is being done by another process, or a trial left no trace.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _only_one(self.folder / "lock"):
            search = Search(self.goal, {})
            answers: dict[str, Answer] = {}
            while search.wanted:
                trial = search.wanted
                self._settings[trial.name] = trial.settings
                if kept := self._kept(trial.name):
                    self._earlier_s += kept.duration_s
                else:
                    self._tell(search, answers)
                    self._measure(trial.name)
                answers[trial.name] = self._answer(trial.name)
                search = Search(self.goal, answers, self._is_over())
            return search

    def took_s(self) -> float:
        """Seconds so far, with those of trials that an earlier run measured."""
        return time.monotonic() - self._began_s + self._earlier_s

    def _is_over(self) -> bool:
        return self.goal.budget_min is not None and self.took_s() >= 60 * self.goal.budget_min

    def _tell(self, search: Search, answers: Mapping[str, Answer]) -> None:
        """Say what comes, what is best so far, and how long the rest may take."""
        best = f"best so far {search.exact.answer.video_s:.4g} s a video" if search.exact else "nothing known yet"
        left = ""
        if answers:
            count = 1 + sum(trial.verdict == NOT_TRIED for trial in Search(self.goal, answers, over=True).trials)
            # A run of Snakemake takes some seconds beside its case.
            left_s = count * (5 + statistics.median(answer.duration_s for answer in answers.values()))
            if self.goal.budget_min is not None:
                left_s = min(left_s, 60 * self.goal.budget_min - self.took_s())
            left = f"; about {max(1, round(left_s / 60))} min left"
        print(f"[tune] {len(answers) + 1}: {search.wanted.name} ({best}{left})", flush=True)

    def _kept(self, name: str) -> Answer | None:
        """The answer of a trace that is there, and was measured with this trial's settings and the code of now."""
        file = self.folder / "results/traces" / f"{name}.json"
        if not file.exists():
            return None
        [case] = resolve_cases({"cases": {name: self._settings[name]}}, _GRID)
        expected = {**self.digests, "case_sha256": {name: case_sha256(case)}}
        traces, _ = collect([file], expected, self.limits)
        fidelity = self.folder / "results/tables/fidelity.csv"
        known = pd.read_csv(fidelity, encoding="utf-8-sig") if fidelity.exists() else None
        return answers_of(tables_of(traces), known)[name] if traces else None

    def _measure(self, name: str) -> None:
        grid = yaml.safe_dump({"cases": self._settings}, allow_unicode=True, sort_keys=False)
        write_atomically(self.folder / _GRID, grid)
        # It ends with an error where the case failed, which is an answer too.
        self._snakemake(f"results/traces/{name}.json")

    def _answer(self, name: str) -> Answer:
        if self.goal.allows_loss:
            # Of the traces that are there: those that failed are not to be measured again.
            self._snakemake("results/tables/cases.csv", "--allowed-rules", "tabulate")
        if answer := self._kept(name):
            return answer
        raise InputError(f"tune: {name} left no trace; {self.folder / _LOG} says why:\n{self._last_lines()}")

    def _snakemake(self, target: str, *options: str) -> None:
        # An inner run counts failures for itself.
        environment = {key: value for key, value in os.environ.items() if key != "WANBENCH_RUN_ID"}
        options = [*options, "--directory", str(self.folder), "--config", f"grid={_GRID}"]
        with (self.folder / _LOG).open("a", encoding="utf-8") as log:
            subprocess.run(
                # The target first: some options take all words behind them.
                [*self.command, target, *self.options, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                check=False,
                # Else a case would go on when this process is killed.
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

    def _last_lines(self) -> str:
        return "\n".join((self.folder / _LOG).read_text("utf-8", "replace").splitlines()[-15:])


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"tune: {lock.parent} is being tuned by another run") from None
        yield
