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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from wanbench.analysis.collect import collect
from wanbench.analysis.fidelity import changing, fidelity_table
from wanbench.analysis.tables import records, tables_of
from wanbench.cases.case import case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.registry.stages import OK, OOM
from wanbench.trace.reader import Trace
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically
from wanbench.tuning.goal import Goal
from wanbench.tuning.search import Search
from wanbench.tuning.trials import NOT_TRIED, Answer, Trial, answers_of
from wanbench.util.errors import InputError
from wanbench.util.lifeline import die_with_parent

_GRID, _LOG = "grid.yaml", "tune.log"
_LAST_LINES = 5
# What a trial takes beside its case, about: Snakemake, and figures of what it changes.
_BESIDE_CASE_S = 10


class Tuning:
    """A tuning in a folder.

    Attributes:
        command: Snakemake with its Snakefile and how software is deployed; a target and other options may follow.
        digests: that a trace must have, `measure` and `env`.
        search, answers: as far as it has come; answers by name of the trial.
    """

    def __init__(
        self, goal: Goal, folder: Path, command: list[str], digests: Mapping[str, str], limits: Limits
    ) -> None:
        self.goal, self.folder, self.command, self.digests, self.limits = goal, folder, command, digests, limits
        self.search, self.answers = Search(goal, self._measured), dict[str, Answer]()
        self._settings: dict[str, dict[str, Any]] = {}
        self._baseline: str | None = None
        self._began_s, self._earlier_s = time.monotonic(), 0.0

    def run(self) -> Search:
        """Measure what the search asks for until it asks for nothing more, or the time is over.

        Raises:
            InputError: what is given leaves nothing to measure losses against, the same is being done by another
                process, or a trial left no trace.
        """
        self._check_stock()
        self.folder.mkdir(parents=True, exist_ok=True)
        # The lock ends with this process, however it ends.
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"tune: {self.folder} is being tuned by another run") from None
            self.search.run()
        return self.search

    def _measured(self, trial: Trial, time_is_kept: bool) -> Answer | None:
        if trial.name not in self.answers and (time_is_kept or not self._is_over()):
            self._settings[trial.name] = trial.settings
            kept = self._trace(trial.name)
            # Out of memory is an answer; any other failure may have gone.
            if kept and kept.status in (OK, OOM):
                self._earlier_s += kept.total_duration_s + _BESIDE_CASE_S
            else:
                if kept:
                    self._file(trial.name).unlink()
                self._tell(trial)
                # It ends with an error where the case failed, which is an answer too.
                self._run(trial.name)
            self.answers[trial.name] = trial.answer = self._answer(trial)
            if trial.has_stock_video:
                self._baseline = self._baseline or trial.name
        return self.answers.get(trial.name)

    def _is_over(self) -> bool:
        """Whether the time left is too short for one more trial, and the one that confirms the best."""
        longest_s = max((answer.duration_s for answer in self.answers.values()), default=-math.inf)
        return self._left_s() < 2 * (_BESIDE_CASE_S + longest_s)

    def _check_stock(self) -> None:
        [case] = resolve_cases({"cases": {"stock": self.goal.fixed}}, _GRID)
        if self.goal.allows_loss and (keys := changing(vars(case))):
            [key, *_] = keys
            raise InputError(
                f"tune: {key}: {self.goal.fixed[key]} changes the video that losses are measured against; leave out "
                f"{key}, or the limit of the loss"
            )

    def took_s(self) -> float:
        """Seconds so far, with those of trials that an earlier run measured."""
        return time.monotonic() - self._began_s + self._earlier_s

    def _left_s(self) -> float:
        return math.inf if self.goal.budget_min is None else 60 * self.goal.budget_min - self.took_s()

    def _tell(self, trial: Trial) -> None:
        """Say what comes, what is best so far, and how long the rest may take."""
        best = self.search.best
        said = f"best so far {best.answer.video_s:.3g} s a video" if best else "nothing known yet"
        if self.answers:
            # What would be tried, without any answer to come, and the one that confirms the best.
            rest = Search(self.goal, lambda trial, _: self.answers.get(trial.name))
            rest.run()
            count = sum(trial.verdict == NOT_TRIED for trial in rest.trials)
            trial_s = _BESIDE_CASE_S + statistics.median(answer.duration_s for answer in self.answers.values())
            said += f"; about {max(1, round(min(count * trial_s, self._left_s()) / 60))} min left"
        print(f"[tune] {len(self.answers) + 1}: {trial.name} ({said})", flush=True)

    def _file(self, name: str) -> Path:
        return self.folder / "results/traces" / f"{name}.json"

    def _trace(self, name: str) -> Trace | None:
        """That of a trial, if it was measured with this trial's settings and the code of now."""
        file = self._file(name)
        if not file.exists():
            return None
        [case] = resolve_cases({"cases": {name: self._settings[name]}}, _GRID)
        expected = {**self.digests, "case_sha256": {name: case_sha256(case)}}
        traces, _ = collect([file], expected, self.limits)
        return traces[0] if traces else None

    def _answer(self, trial: Trial) -> Answer:
        """What its trace says, and how far its video is from the one that has stock's."""
        trace = self._trace(trial.name)
        if trace is None:
            log = self.folder / _LOG
            lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
            raise InputError("\n".join([f"tune: {trial.name} left no trace; {log} says why:", *lines[-_LAST_LINES:]]))
        answer = answers_of(tables_of([trace]))[trial.name]
        if not trial.is_lossy or answer.status != OK or not self._baseline:
            return answer
        rows = records(fidelity_table([self._trace(self._baseline), trace], self.folder / "results/frames"))
        loss = next((row for row in rows if row["case"] == trial.name), {})
        return replace(answer, latent_error=loss.get("latent_error_rel"), psnr_db=loss.get("psnr_db"))

    def _run(self, name: str) -> None:
        text = yaml.safe_dump({"cases": self._settings}, allow_unicode=True, sort_keys=False)
        write_atomically(self.folder / _GRID, text)
        # An inner run counts failures for itself.
        environment = {key: value for key, value in os.environ.items() if key != "WANBENCH_RUN_ID"}
        options = ("--directory", str(self.folder), "--config", f"grid={_GRID}")
        with (self.folder / _LOG).open("a", encoding="utf-8") as log:
            subprocess.run(
                # The target first: some options take all words behind them.
                [*self.command, f"results/traces/{name}.json", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                check=False,
                # Else a case would go on when this process is killed.
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
