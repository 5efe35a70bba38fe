"""Run one trial after the other, each as an ordinary case of this workflow, until the search is finished.

Each trial is a run of Snakemake in a folder of its own, `results/tune/NAME`, with a grid file of all trials so far: a
case in a process of its own, with its checks and the locks of GPUs.
"""

import fcntl
import math
import os
import statistics
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from wanbench.analysis.collect import collect
from wanbench.analysis.tables import read_table, records, tables_of
from wanbench.cases.case import case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.registry.metrics import FIDELITY_COLUMNS
from wanbench.registry.stages import OK
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically
from wanbench.tuning.goal import Goal
from wanbench.tuning.search import Search
from wanbench.tuning.trials import NOT_TRIED, Answer, Trial, answers_of
from wanbench.util.errors import InputError
from wanbench.util.lifeline import die_with_parent

_GRID, _LOG = "grid.yaml", "tune.log"
_LAST_LINES = 15


@dataclass
class Tuning:
    """A tuning in a folder.

    Attributes:
        command: Snakemake with its Snakefile and how software is deployed; a target and other options may follow.
        digests: that a trace must have, `measure` and `env`.
    """

    goal: Goal
    folder: Path
    command: list[str]
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
        # The lock ends with this process, however it ends.
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"tune: {self.folder} is being tuned by another run") from None
            search = Search(self.goal, {})
            answers: dict[str, Answer] = {}
            while search.wanted:
                trial = search.wanted
                self._settings[trial.name] = trial.settings
                if kept := self._kept(trial.name):
                    self._earlier_s += kept.duration_s
                else:
                    self._tell(search, answers)
                    # It ends with an error where the case failed, which is an answer too.
                    self._snakemake(f"results/traces/{trial.name}.json", _GRID, self._settings)
                answers[trial.name] = self._answer(trial, answers)
                search = Search(self.goal, answers, self._left_s() <= 0)
            return search

    def took_s(self) -> float:
        """Seconds so far, with those of trials that an earlier run measured."""
        return time.monotonic() - self._began_s + self._earlier_s

    def _left_s(self) -> float:
        return math.inf if self.goal.budget_min is None else 60 * self.goal.budget_min - self.took_s()

    def _tell(self, search: Search, answers: Mapping[str, Answer]) -> None:
        """Say what comes, what is best so far, and how long the rest may take."""
        best = f"best so far {search.best.answer.video_s:.3g} s a video" if search.best else "nothing known yet"
        left = ""
        if answers:
            count = 1 + sum(trial.verdict == NOT_TRIED for trial in Search(self.goal, answers, over=True).trials)
            # A run of Snakemake takes some seconds beside its case.
            left_s = count * (5 + statistics.median(answer.duration_s for answer in answers.values()))
            left_s = min(left_s, self._left_s())
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
        return answers_of(tables_of(traces))[name] if traces else None

    def _answer(self, trial: Trial, answers: Mapping[str, Answer]) -> Answer:
        answer = self._kept(trial.name)
        if answer is None:
            log = self.folder / _LOG
            lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
            raise InputError("\n".join([f"tune: {trial.name} left no trace; {log} says why:", *lines[-_LAST_LINES:]]))
        baseline = next((name for name, each in answers.items() if each.status == OK), None)
        if not trial.is_lossy or answer.status != OK or not baseline:
            return answer
        loss = self._loss(trial.name, baseline)
        return replace(answer, latent_error=loss.get("latent_error_rel"), psnr_db=loss.get("psnr_db"))

    def _loss(self, name: str, baseline: str) -> Mapping[str, Any]:
        """Figures of a trial beside the first one that ran, from a run of rule tabulate for these two alone."""
        table = self.folder / "results/tables/fidelity.csv"
        table.unlink(missing_ok=True)
        pair = {each: self._settings[each] for each in (baseline, name)}
        self._snakemake(str(table.relative_to(self.folder)), "pair.yaml", pair, "--allowed-rules", "tabulate")
        rows = records(read_table(table, FIDELITY_COLUMNS)) if table.exists() else []
        return next((row for row in rows if row["case"] == name), {})

    def _snakemake(self, target: str, grid: str, cases: Mapping[str, Any], *options: str) -> None:
        text = yaml.safe_dump({"cases": cases}, allow_unicode=True, sort_keys=False)
        write_atomically(self.folder / grid, text)
        # An inner run counts failures for itself.
        environment = {key: value for key, value in os.environ.items() if key != "WANBENCH_RUN_ID"}
        options = (*options, "--directory", str(self.folder), "--config", f"grid={grid}")
        with (self.folder / _LOG).open("a", encoding="utf-8") as log:
            subprocess.run(
                # The target first: some options take all words behind them.
                [*self.command, target, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                check=False,
                # Else a case would go on when this process is killed.
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
