"""Attempts that were ended before Snakemake could see their trace: what a second job of the run makes of them."""

import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from attempts import attempt_in, left_in, wait_for
from conftest import ROOT
from example_cases import tiny_case
from traces import S, records
from wanbench.measure.attempt import Attempt
from wanbench.measure.failures import failures, last_good_trace
from wanbench.measure.finalize import finalize, recover
from wanbench.measure.outcome import Outcome
from wanbench.measure.spans import read_records
from wanbench.measure.supervisor import supervise
from wanbench.trace.reader import Trace, read_trace
from wanbench.trace.writer import write_atomically
from wanbench.util.event_log import EventLog, EventTail


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return attempt_in(tmp_path, tiny_case())


def begin(attempt: Attempt, *events: dict) -> None:
    """Begin the attempt, and write what its measured process would."""
    with attempt.alone(pytest.fail):
        attempt.begin()
    for record in events:
        EventLog(attempt.events).write(record)


def measure(attempt: Attempt) -> Attempt:
    """What a measured process leaves that came to its end, and the attempt as it began."""
    begin(attempt, *records([1.0] * attempt.case.steps, case=attempt.case))
    begun = replace(attempt, started_at="2026-11-23T10:00:00+00:00")
    attempt.job.write_text(begun.to_json())
    return begun


def write_trace_of(attempt: Attempt, status: str) -> None:
    """End the attempt, as its supervisor would."""
    begun = measure(attempt)
    finalize(begun, 60 * S, read_records(EventTail(attempt.events).new_records()), Outcome(status))


def recovered(attempt: Attempt) -> Trace:
    recover(attempt)
    return read_trace(attempt.trace)


def failed_attempts(attempt: Attempt) -> list[int]:
    return [found.failed_attempts for found in failures(attempt.results).values()]


def test_one_that_never_began_is_a_killed_one_without_figures(attempt: Attempt) -> None:
    for _ in range(2):
        trace = recovered(attempt)
        assert (trace.status, trace.total_duration_s, trace.stages) == ("killed", 0, [])
        assert trace.error["message"].startswith("nothing was measured: its job failed before that")
        # A third job of the same run is no further failure.
        assert failed_attempts(attempt) == [1]


@pytest.mark.parametrize(
    ("stop_at", "status"),
    [
        *(("written", "ok"), ("written", "error"), ("kept", "ok"), ("failures", "error")),
        *(("trace", "timeout"), ("trace", "ok"), ("trace", "oom")),
    ],
)
def test_a_kill_after_any_file_loses_no_result_and_records_a_failure_once(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, stop_at: str, status: str
) -> None:
    """The trace is written, then kept or its failure recorded, then shown to Snakemake, which may remove it."""
    kept, failed = last_good_trace(attempt.results, "tiny"), attempt.results / "failures/tiny.json"
    target = {"written": attempt.written, "failures": failed, "kept": kept, "trace": attempt.trace}[stop_at]

    def then_dies(path: Path, text: str) -> None:
        write_atomically(path, text)
        if path == target:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        for module in ("measure.finalize", "measure.failures", "trace.writer"):
            patched.setattr(f"wanbench.{module}.write_atomically", then_dies)
        with pytest.raises(KeyboardInterrupt):
            write_trace_of(attempt, status)
    written = attempt.written.read_text()
    assert attempt.trace.exists() == (stop_at == "trace")
    attempt.trace.unlink(missing_ok=True)
    assert recovered(attempt).status == status
    assert attempt.trace.read_text() == written
    assert kept.exists() == (status == "ok")
    assert failed_attempts(attempt) == ([] if status in ("ok", "oom") else [1])


def test_one_that_had_measured_all_but_could_write_no_trace_gets_it(attempt: Attempt) -> None:
    measure(attempt)
    trace = recovered(attempt)
    assert trace.status == "ok"
    assert {stage.name for stage in trace.stages} >= {"Step_0_Inference", "VAE_Decoding", "Total_Execution"}
    assert failed_attempts(attempt) == []


@pytest.mark.parametrize(("out_of_memory", "status"), [(True, "oom"), (False, "error")])
def test_one_that_had_written_down_its_error_keeps_it(attempt: Attempt, out_of_memory: bool, status: str) -> None:
    error = {"record": "error", "time_ns": 1, "type": "Boom", "message": "it broke", "out_of_memory": out_of_memory}
    begin(attempt, error)
    trace = recovered(attempt)
    assert (trace.status, trace.error["message"]) == (status, "it broke")
    assert failed_attempts(attempt) == ([] if out_of_memory else [1])


def test_one_that_was_killed_right_after_a_weight_transfer_has_a_trace_that_can_be_read(attempt: Attempt) -> None:
    """A transfer is written down when it is over, and no sample or stage boundary need come after it."""
    begun = measure(attempt)
    events = EventTail(attempt.events).new_records()
    step = next(i for i, record in enumerate(events) if record["record"] == "begin" and record["kind"] == "step")
    begun_ns = events[step]["time_ns"]
    transfer = {"record": "transfers", "span": events[step]["span"], "intervals": [(begun_ns, begun_ns + 2 * S)]}
    transfer |= {"direction": "load", "module": "Linear", "transfers": 1, "bytes": 8}
    begin(attempt, *events[: step + 1], transfer)
    attempt.job.write_text(begun.to_json())
    trace = recovered(attempt)
    assert trace.total_duration_s == begun_ns / S + 2
    (loading,) = [stage for stage in trace.stages if stage.name == "Step_0_Loading"]
    assert loading.measures["time_s"] == 2


def test_what_an_earlier_run_left_is_not_taken_for_this_runs(tmp_path: Path) -> None:
    write_trace_of(attempt_in(tmp_path, tiny_case(steps=3)), "error")
    changed = attempt_in(tmp_path, tiny_case(steps=9))
    trace = recovered(changed)
    assert trace.case["steps"] == 9
    assert trace.error["message"].startswith("nothing was measured")
    assert failed_attempts(changed) == [2]


def test_half_files_of_an_earlier_run_are_no_obstacle(attempt: Attempt) -> None:
    attempt.work.mkdir(parents=True)
    for left in (attempt.job, attempt.events, attempt.written):
        left.write_text('{"hal')
    attempt.lock.write_text("an earlier run")
    assert recovered(attempt).status == "killed"
    assert left_in(attempt) == {"run", "trace.json"}


def test_a_case_does_not_begin_on_a_disk_that_is_nearly_full(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wanbench.measure.supervisor._MIN_FREE_BYTES", 10**18)
    outcome = supervise(attempt, None)
    assert outcome.status == "error"
    assert re.search(r"MB are free on its disk; needed: 1000000000000 MB", outcome.message)
    assert capfd.readouterr().err.count("are free on its disk") == 1
    attempt.trace.unlink()
    # A second job of the run, whose first had written that.
    trace = recovered(attempt)
    assert (trace.status, trace.error["message"], trace.stages) == ("error", outcome.message, [])
    assert failed_attempts(attempt) == [1]


HOLDER = """
import sys, time
from wanbench.measure.attempt import Attempt
attempt = Attempt.from_json(sys.argv[1])
with attempt.alone(print):
    attempt.begin()
    attempt.events.touch()
    print(flush=True)
    time.sleep(600)
"""


def test_an_earlier_attempt_that_lives_is_waited_for(attempt: Attempt, capfd: pytest.CaptureFixture[str]) -> None:
    """As when the jobs of a cluster outlive the Snakemake that sent them, and another one was started."""
    command = [sys.executable, "-c", HOLDER, replace(attempt, run_id="earlier").to_json()]
    earlier = subprocess.Popen(command, cwd=ROOT / "workflow/scripts", stdout=subprocess.PIPE)
    earlier.stdout.readline()
    second = threading.Thread(target=recover, args=(attempt,))
    second.start()
    logged = []
    wait_for(lambda: logged.append(capfd.readouterr().err) or any(logged))
    assert "".join(logged) == "[tiny] waits: an earlier attempt at this case still runs\n"
    assert second.is_alive()
    assert left_in(attempt) == {"run", "events.jsonl"}
    earlier.kill()
    earlier.wait()
    second.join()
    assert read_trace(attempt.trace).status == "killed"
    assert "waits" not in capfd.readouterr().err


def test_without_locks_an_attempt_is_made_all_the_same(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(file: object, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("wanbench.measure.attempt.fcntl.flock", unsupported)
    assert recovered(attempt).status == "killed"


@pytest.mark.parametrize("content", ["", "[1]", '{"failed_attempts": 1}'])
def test_a_count_of_failures_that_was_changed_by_hand_is_none_and_written_anew(attempt: Attempt, content: str) -> None:
    file = attempt.results / "failures/tiny.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert failures(attempt.results) == {}
    write_trace_of(attempt, "error")
    assert failed_attempts(attempt) == [1]
