"""Attempts that were ended before Snakemake could see their trace: what a second job of the run makes of them."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from attempts import left_in, order_of, places_in
from conftest import ROOT
from example_cases import tiny_case
from traces import S, records
from wanbench.measure.attempt import Order
from wanbench.measure.attempt_lock import claimed
from wanbench.measure.failures import failures, last_good_trace
from wanbench.measure.finalize import conclude
from wanbench.measure.job import Job
from wanbench.measure.outcome import Outcome
from wanbench.measure.recover import record_lost_attempt
from wanbench.measure.spans import read_records
from wanbench.measure.supervisor import supervise
from wanbench.trace.reader import read_trace
from wanbench.trace.writer import write_atomically
from wanbench.util.errors import InputError
from wanbench.util.event_log import EventLog, EventTail


def measured(order: Order) -> Job:
    """What a measuring process leaves that came to its end."""
    places = order.places
    with claimed(places.claim, pytest.fail) as claim:
        claim.begin(order.run_id)
    job = Job(order.case, [], places.events, places.video, 0, None, "2026-11-23T10:00:00+00:00")
    places.job.write_text(job.to_json())
    log = EventLog(places.events)
    for record in records([1.0] * order.case.steps, case=order.case):
        log.write(record)
    return job


def write_trace_of(order: Order, status: str) -> None:
    """End the attempt, as its supervisor would."""
    job = measured(order)
    conclude(order, job, 60 * S, read_records(EventTail(order.places.events).new_records()), Outcome(status))


def test_one_that_never_began_is_a_killed_one_without_figures(tmp_path: Path) -> None:
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    for _ in range(2):
        record_lost_attempt(order)
        trace = read_trace(order.places.trace)
        assert (trace.status, trace.total_duration_s, trace.stages) == ("killed", 0, [])
        assert trace.error["message"].startswith("nothing was measured: its job failed before that")
        # A third job of the same run counts nothing once more.
        assert failures(order.places.results)["tiny"].failed_attempts == 1


@pytest.mark.parametrize(("status", "failed"), [("timeout", 1), ("ok", 0), ("oom", 0)])
def test_a_trace_that_its_jobs_end_took_away_is_put_back_and_counted_once(
    tmp_path: Path, status: str, failed: int
) -> None:
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    write_trace_of(order, status)
    written = order.places.trace.read_text()
    order.places.trace.unlink()
    record_lost_attempt(order)
    assert order.places.trace.read_text() == written
    assert read_trace(order.places.trace).status == status
    assert sum(count.failed_attempts for count in failures(order.places.results).values()) == failed
    assert last_good_trace(order.places.results, "tiny").exists() == (status == "ok")


@pytest.mark.parametrize(
    ("stop_at", "status"), [("written", "ok"), ("written", "error"), ("kept", "ok"), ("measured", "error")]
)
def test_a_kill_between_any_two_files_loses_no_result_and_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str, status: str
) -> None:
    """The trace is written, then kept or counted, then shown to Snakemake."""
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    results = order.places.results
    kept, measured = last_good_trace(results, "tiny"), results / "failures/tiny.json"
    target = {"written": order.places.written, "measured": measured, "kept": kept}[stop_at]
    whole = write_atomically

    def then_dies(path: Path, text: str) -> None:
        whole(path, text)
        if path == target:
            raise KeyboardInterrupt

    for module in ("measure.conclude", "measure.failures", "trace.writer"):
        monkeypatch.setattr(f"wanbench.{module}.write_atomically", then_dies)
    with pytest.raises(KeyboardInterrupt):
        write_trace_of(order, status)
    monkeypatch.undo()
    assert not order.places.trace.exists()
    record_lost_attempt(order)
    assert read_trace(order.places.trace).status == status
    assert kept.exists() == (status == "ok")
    assert [count.failed_attempts for count in failures(results).values()] == ([] if status == "ok" else [1])


def test_one_that_had_measured_all_but_could_write_no_trace_gets_it(tmp_path: Path) -> None:
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    measured(order)
    record_lost_attempt(order)
    trace = read_trace(order.places.trace)
    assert trace.status == "ok"
    assert {stage.name for stage in trace.stages} >= {"Step_0_Inference", "VAE_Decoding", "Total_Execution"}
    assert failures(order.places.results) == {}


@pytest.mark.parametrize("out_of_memory", [True, False])
def test_one_that_had_told_of_its_error_keeps_it(tmp_path: Path, out_of_memory: bool) -> None:
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    with claimed(order.places.claim, pytest.fail) as claim:
        claim.begin(order.run_id)
    log = EventLog(order.places.events)
    log.write({"record": "error", "time_ns": 1, "type": "Boom", "message": "it broke", "out_of_memory": out_of_memory})
    record_lost_attempt(order)
    trace = read_trace(order.places.trace)
    assert (trace.status, trace.error["message"]) == ("oom" if out_of_memory else "error", "it broke")
    assert ("tiny" in failures(order.places.results)) == (not out_of_memory)


def test_one_that_was_killed_right_after_weights_had_moved_has_a_trace_that_can_be_read(tmp_path: Path) -> None:
    """A move is told of when it is over, and no sample or border need come after it."""
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    job = measured(order)
    told = EventTail(job.events).new_records()
    step = next(i for i, record in enumerate(told) if record["record"] == "begin" and record["kind"] == "step")
    begun_ns = told[step]["time_ns"]
    transfer = {
        "record": "transfers",
        "span": told[step]["span"],
        "intervals": [(begun_ns, begun_ns + 2 * S)],
        "bytes": 8,
    }
    job.events.unlink()
    log = EventLog(job.events)
    for record in [*told[: step + 1], transfer | {"direction": "load", "module": "Linear", "transfers": 1}]:
        log.write(record)
    record_lost_attempt(order)
    trace = read_trace(order.places.trace)
    assert trace.total_duration_s == begun_ns / S + 2
    (loading,) = [stage for stage in trace.stages if stage.name == "Step_0_Loading"]
    assert loading.measures["time_s"] == 2


def test_what_an_earlier_run_left_is_not_taken_for_this_runs(tmp_path: Path) -> None:
    before = tiny_case(steps=3)
    write_trace_of(order_of(before, places_in(tmp_path, before)), "error")
    changed = tiny_case(steps=9)
    order = order_of(changed, places_in(tmp_path, changed))
    record_lost_attempt(order)
    trace = read_trace(order.places.trace)
    assert trace.case["steps"] == 9
    assert trace.error["message"].startswith("nothing was measured")
    assert failures(order.places.results)["tiny"].failed_attempts == 2


@pytest.mark.parametrize("left", ["job.json", "refusal", "events.jsonl", "trace.json"])
def test_half_a_file_of_an_earlier_run_is_no_obstacle(tmp_path: Path, left: str) -> None:
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    order.places.work.mkdir(parents=True)
    (order.places.work / left).write_text('{"hal')
    (order.places.work / "run").write_text("an earlier run")
    record_lost_attempt(order)
    assert read_trace(order.places.trace).status == "killed"
    assert left_in(order.places) == {"run", "trace.json"}


def test_a_refused_one_is_refused_again_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    monkeypatch.setattr("wanbench.measure.supervisor._MIN_FREE_BYTES", 10**18)
    for attempt in (lambda: supervise(order, None), lambda: record_lost_attempt(order)):
        with pytest.raises(InputError, match=r"MB are free on its disk; needed: 1000000000000 MB"):
            attempt()
    assert not order.places.trace.exists()


def test_a_full_disk_is_told_though_the_reason_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    monkeypatch.setattr("wanbench.measure.supervisor._MIN_FREE_BYTES", 10**18)
    monkeypatch.setattr("wanbench.measure.supervisor.write_atomically", full)
    with pytest.raises(InputError, match="are free on its disk"):
        supervise(order, None)
    assert capfd.readouterr().err.count("are free on its disk") == 1


def test_a_case_is_not_measured_while_an_earlier_attempt_at_it_lives(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As when the jobs of a cluster outlive the Snakemake that sent them, and another one was started."""
    order = order_of(tiny_case(timeout_s=0.2), places_in(tmp_path, tiny_case()))
    code = (
        "import sys, time; from pathlib import Path; from wanbench.measure.attempt_lock import claimed\n"
        "with claimed(Path(sys.argv[1]), print) as claim:\n"
        "    claim.begin('earlier'); claim.work.joinpath('events.jsonl').touch(); print(flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(order.places.claim)]
    earlier = subprocess.Popen(command, cwd=ROOT / "workflow/scripts", stdout=subprocess.PIPE)
    earlier.stdout.readline()
    attempt = threading.Thread(target=record_lost_attempt, args=(order,))
    attempt.start()
    attempt.join(1)
    assert attempt.is_alive()
    assert left_in(order.places) == {"run", "events.jsonl"}
    earlier.kill()
    attempt.join(120)
    assert not attempt.is_alive()
    assert read_trace(order.places.trace).status == "killed"
    assert capfd.readouterr().err.count("[tiny] waits: an earlier attempt at this case still runs\n") == 1


def test_where_there_are_no_locks_an_attempt_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(file: object, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("wanbench.measure.attempt_lock.fcntl.flock", unsupported)
    order: Order = order_of(tiny_case(), places_in(tmp_path, tiny_case()))
    record_lost_attempt(order)
    assert read_trace(order.places.trace).status == "killed"
