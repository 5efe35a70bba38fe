"""Kill -9 at random moments of whatever runs, and see that nothing is lost.

    python tests/soak.py [--kills 100] [--seed 1]

A round measures one case for each kind of process, and kills that kind while its case runs: Snakemake, the supervisor
(the script of rule measure), the measured process and the sampler; in every fourth round Snakemake dies at any moment
of the whole run instead. After a round no process may be left, no lock, no half trace, and no finished trace may have
changed. After some rounds one plain run must complete the grid.
"""

import argparse
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path[:0] = [str(Path(__file__).parents[1] / "workflow/scripts"), str(Path(__file__).parent)]

from conftest import SMALL, SMALL_DEFAULTS, Project, copy_project
from wanbench.measure.gpu_slots import own_slot
from wanbench.trace.reader import read_trace

KINDS = ("sampler", "measured process", "supervisor", "snakemake")
_IN_COMMAND = {
    "sampler": "wanbench.telemetry.sampler",
    "measured process": "wanbench.measure.measured_process",
    "supervisor": ".measure_case.py",
}
_RUN_S = 40.0
_ENDS_WITHIN_S = 60.0
_MARK = "WANBENCH_SOAK"


@dataclass
class Soak:
    """A project under attack.

    Attributes:
        life_s: a process is killed at a moment of its first so many seconds, unless it ended before. One of a small
            case lives about as long.
        kept: whether the grid has a case beside those, which is measured once and never again.
        finished: SHA-256 of the traces that Snakemake has finished, by case.
        kills: number by kind.
        longest_left_s: the longest time that a process lived on after Snakemake was gone.
    """

    project: Project
    random: random.Random
    life_s: float = 5.0
    kept: bool = False
    finished: dict[str, str] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    longest_left_s: float = 0.0

    def round(self, anywhere: bool = False) -> None:
        """One run in which each kind of process is killed, or Snakemake alone at any moment."""
        cases = {case_of(kind): SMALL | {"seed": self.random.randrange(2**31)} for kind in KINDS}
        kept = {"kept": SMALL} if self.kept else {}
        self.project.write_grid({"defaults": SMALL_DEFAULTS, "cases": cases | kept})
        self.finished = {case: digest for case, digest in self.finished.items() if case in kept}
        targets = [] if anywhere else ["--prioritize", *(trace_of(case_of(kind)) for kind in KINDS[:-1])]
        output = self.project.folder / "soak.log"
        with output.open("w") as log:
            run = self._start(targets, log)
            if anywhere:
                self._kill(psutil.Process(run.pid), "snakemake", self.random.uniform(0, _RUN_S))
            else:
                self._kill_each(run, output)
            run.wait()
        self._check(output.read_text("utf-8"))

    def complete(self, *targets: str) -> None:
        """One plain run, which must make everything whole; or up to some targets."""
        finished = dict(self.finished)
        output = self.project.folder / "soak.log"
        with output.open("w") as log:
            code = self._start(list(targets), log).wait()
        text = output.read_text("utf-8")
        assert code == 0, text
        self._check(text)
        assert finished.items() <= self.finished.items()
        results = self.project.folder / "results"
        assert set(self.finished) == {case_of(kind) for kind in KINDS} | ({"kept"} if self.kept else set())
        assert not list(results.rglob(".*"))
        assert {file.name for file in (results / "attempts").glob("*/*")} == {"run", "trace.json"}

    def _start(self, arguments: list[str], log) -> subprocess.Popen:
        self.runs += 1
        # A killed Snakemake leaves its lock.
        self.project.snakemake("--unlock")
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "1", *arguments],
            cwd=self.project.folder,
            stdout=log,
            stderr=log,
            env=os.environ | {_MARK: str(self.project.folder)},
        )

    def _kill_each(self, run: subprocess.Popen, output: Path) -> None:
        left = set(KINDS)
        while run.poll() is None and left:
            time.sleep(0.01)
            begun = re.findall(
                r"^(?:local)?rule measure:\n(?:    .*\n)*?    wildcards: case=(\S+)", output.read_text("utf-8"), re.M
            )
            for kind in left & {kind for kind in KINDS if begun and begun[-1] == case_of(kind)}:
                found = psutil.Process(run.pid) if kind == "snakemake" else self._process(kind)
                if found is not None:
                    left.remove(kind)
                    self._kill(found, kind, self.random.uniform(0, self.life_s))

    def _kill(self, process: psutil.Process, kind: str, after_s: float) -> None:
        with suppress(psutil.TimeoutExpired):
            process.wait(after_s)
            return
        with suppress(psutil.NoSuchProcess):
            process.kill()
            self.kills[kind] += 1

    def _process(self, kind: str) -> psutil.Process | None:
        for process in self._processes():
            with suppress(psutil.Error):
                if any(_IN_COMMAND[kind] in part for part in process.cmdline()):
                    return process
        return None

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == str(self.project.folder):
                    yield process

    def _check(self, output: str) -> None:
        began_s = time.monotonic()
        while left := list(self._processes()):
            assert time.monotonic() < began_s + _ENDS_WITHIN_S, f"still there: {left}\n{output}"
            time.sleep(0.02)
        self.longest_left_s = max(self.longest_left_s, time.monotonic() - began_s)
        with own_slot([], 1, _is_held):
            pass
        results = self.project.folder / "results"
        for file in (file for part in ("traces", "last_good") for file in (results / part).glob("[!.]*")):
            assert read_trace(file).case["name"] == file.stem
        for case, digest in self.finished.items():
            for file in (self.project.folder / trace_of(case), results / "last_good" / f"{case}.json"):
                assert sha256(file) == digest, f"{file} was finished and has changed"
        ended = set(re.findall(r"^Finished jobid: (\d+) \(Rule: measure\)", output, re.M))
        for jobid, case in re.findall(
            r"^(?:local)?rule measure:\n(?:    .*\n)*?    jobid: (\d+)\n(?:    .*\n)*?    wildcards: case=(\S+)",
            output,
            re.M,
        ):
            trace = self.project.folder / trace_of(case)
            if jobid in ended and read_trace(trace).status == "ok":
                self.finished[case] = sha256(trace)


def case_of(kind: str) -> str:
    return kind.replace(" ", "_")


def trace_of(case: str) -> str:
    return f"results/traces/{case}.json"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_held(reason: str) -> None:
    raise AssertionError(reason)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = str(Path(folder, "tmp"))
        Path(folder, "tmp").mkdir()
        soak = Soak(copy_project(Path(folder, "project")), random.Random(options.seed), kept=True)
        rounds = 0
        while soak.kills.total() < options.kills:
            soak.round(anywhere=rounds % 4 == 3)
            rounds += 1
            if rounds % 5 == 0:
                soak.complete()
            print(f"{soak.runs} runs, {soak.kills.total()} kills: {dict(soak.kills)}", flush=True)
        soak.complete()
    print(
        f"{soak.kills.total()} kills in {soak.runs} runs: {dict(soak.kills)}; nothing lost; "
        f"what a killed Snakemake left was gone after {soak.longest_left_s:.2f} s at most"
    )


if __name__ == "__main__":
    main()
