"""Attempts at cases in a folder of a test."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import psutil
import pytest

from traces import LIMITS
from wanbench.cases.case import Case, case_sha256
from wanbench.measure.attempt import Attempt
from wanbench.measure.gpu_slots import own_slot
from wanbench.measure.outcome import Outcome
from wanbench.measure.supervisor import supervise
from wanbench.trace.reader import Trace, read_trace


def attempt_in(folder: Path, case: Case, run_id: str | None = None) -> Attempt:
    """An attempt of a run of its own, where none is named."""
    digests = {"case_sha256": case_sha256(case), "measure": "m", "env": "e"}
    trace = folder / "results/traces" / f"{case.name}.json"
    return Attempt(case, trace, folder / "log", digests, LIMITS, run_id or uuid4().hex)


def left_in(attempt: Attempt) -> set[str]:
    """Names in the work folder."""
    return {file.name for file in attempt.work.iterdir()}


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Wait for the end of all processes of a case, which leave its GPU to others."""
    _, alive = psutil.wait_procs(processes, timeout=300)
    assert not alive
    with own_slot([], 1, pytest.fail):
        pass


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for what must happen; the bound only ends a test that would wait for ever."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def run(case: Case, folder: Path, environment: dict[str, str] | None = None, **changes: bool) -> tuple[Outcome, Trace]:
    """Supervise an attempt in a folder; nothing but its trace is left in its work folder, and no process."""
    attempt = replace(attempt_in(folder, case), **changes)
    folder.mkdir(exist_ok=True)
    # Other tests may have left one that starts Snakemake.
    before = psutil.Process().children(recursive=True)
    with patch.dict(os.environ, environment or {}):
        outcome = supervise(attempt, None)
    assert left_in(attempt) == {"run", "trace.json"}
    assert set(psutil.Process().children(recursive=True)) <= set(before)
    return outcome, read_trace(attempt.trace)


def when_it_measures(folder: Path, act: Callable[[], object], samples: int = 0) -> None:
    """Do something as soon as the tiny case of a folder has begun its first step, and then was sampled so often."""
    work = folder / "results/attempts/tiny"

    def count(name: str, text: str) -> int:
        return (work / name).read_text().count(text) if (work / name).exists() else 0

    def wait() -> None:
        wait_for(lambda: count("events.jsonl", "Step_0"))
        before = count("samples.jsonl", "\n")
        wait_for(lambda: count("samples.jsonl", "\n") >= before + samples)
        act()

    threading.Thread(target=wait).start()


def signal_to(part: str, how: int) -> None:
    """Send a signal to the processes of the attempt with this in their command."""
    for process in psutil.Process().children():
        if part in process.cmdline():
            process.send_signal(how)
