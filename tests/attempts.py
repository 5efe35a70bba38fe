"""Attempts at cases in a folder of a test."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psutil

from traces import LIMITS
from wanbench.cases.case import Case, case_sha256
from wanbench.measure.attempt import Order, Places
from wanbench.measure.outcome import Outcome
from wanbench.measure.supervisor import supervise
from wanbench.trace.reader import Trace, read_trace


def places_in(folder: Path, case: Case) -> Places:
    return Places(
        trace=folder / "results/traces" / f"{case.name}.json",
        log=folder / "log",
        video=folder / "results/videos" / f"{case.name}.mp4",
        work=folder / "results/attempts" / case.name,
        results=folder / "results",
    )


def order_of(case: Case, places: Places, run_id: str | None = None) -> Order:
    """Of a run of its own, where none is named."""
    digests = {"case_sha256": case_sha256(case), "measure": "m", "env": "e"}
    return Order(case, places, digests, LIMITS, run_id or uuid4().hex)


def left_in(places: Places) -> set[str]:
    """Names in the work folder."""
    return {file.name for file in places.work.iterdir()}


def wait_for(condition: Callable[[], object]) -> None:
    """Wait as long as a busy machine may need; the limit ends a hang."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def run(case: Case, folder: Path) -> tuple[Outcome, Trace]:
    places = places_in(folder, case)
    outcome = supervise(order_of(case, places), None)
    assert left_in(places) == {"run", "trace.json"}
    return outcome, read_trace(places.trace)


def kill_child_of(work: Path, how: int) -> None:
    """Send a signal to the measuring process as soon as it has begun its case."""

    def kill() -> None:
        events = work / "events.jsonl"
        wait_for(lambda: events.exists() and "Total_Execution" in events.read_text())
        measuring_process(work).send_signal(how)

    threading.Thread(target=kill).start()


def measuring_process(work: Path) -> psutil.Process:
    processes = psutil.process_iter(["cmdline"])
    return next(process for process in processes if str(work / "job.json") in (process.info["cmdline"] or []))


def when_it_measures(work: Path, act: Callable[[], object]) -> None:
    """Do something while a case is stopped in its steps, and let it go on a second later."""

    def wait() -> None:
        events = work / "events.jsonl"
        wait_for(lambda: events.exists() and "Step_0" in events.read_text())
        process = measuring_process(work)
        process.suspend()
        act()
        time.sleep(1)
        process.resume()

    threading.Thread(target=wait).start()
