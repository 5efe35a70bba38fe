"""How an attempt ended, what it says meanwhile, and what it writes down: nothing is measured."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from wanbench.measure.outcome import ReportedError, TimeLimit, is_out_of_memory, outcome_of
from wanbench.measure.progress import Progress
from wanbench.trace.writer import write_trace
from wanbench.util.event_log import EventLog, EventTail
from wanbench.util.redaction import redacted


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        ((0, None, None, True), "ok", None),
        # All was measured: how the process went after that is no part of the case.
        ((-9, TimeLimit(5, "5 s"), None, True), "ok", None),
        ((78, None, ReportedError("ValueError", "x", False, 1), True), "ok", None),
        ((79, None, None, True), "ok", None),
        ((0, None, None, False), "error", "without a report"),
        ((1, None, None, False), "error", "exit code 1"),
        ((-9, None, None, False), "killed", "SIGKILL"),
        ((-11, None, None, False), "killed", "SIGSEGV"),
        # Of the real-time signals Python names the first and the last.
        ((-40, None, None, False), "killed", "ended by signal 40"),
        ((-9, TimeLimit(5, "5 s"), None, False), "timeout", "5 s"),
        ((78, None, ReportedError("OutOfMemoryError", "CUDA out of memory", True, 1), False), "oom", "CUDA"),
        ((78, None, ReportedError("ValueError", "x", False, 1), False), "error", "x"),
        ((79, None, None, False), "error", "the disk of results/attempts is full"),
    ],
)
def test_outcomes(arguments: tuple, status: str, part: str | None) -> None:
    outcome = outcome_of(*arguments)
    assert outcome.status == status
    assert part is None or part in outcome.message


def test_which_errors_are_out_of_memory() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    assert is_out_of_memory(OutOfMemoryError("CUDA"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"))
    cublas = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    assert is_out_of_memory(RuntimeError(cublas))
    assert not is_out_of_memory(ValueError(cublas))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_progress_lines_tell_the_stage_the_step_and_the_time_left() -> None:
    progress = Progress("case")
    s = 1_000_000_000

    def begin(span: int, name: str, at_s: float, kind: str = "stage", **args: int) -> dict:
        record = {"record": "begin", "span": span, "name": name, "kind": kind, "time_ns": at_s * s, "args": args}
        return progress.line(record)

    def end(span: int, at_s: float) -> str | None:
        return progress.line({"record": "end", "span": span, "time_ns": at_s * s, "args": {}})

    assert begin(1, "TI2V_Preprocess", 0) is None
    begin(2, "T5_Encoding", 1)
    assert end(2, 3) == "[case] T5_Encoding: 2.00 s"
    assert end(1, 4) == "[case] TI2V_Preprocess: 2.00 s"
    begin(3, "Step_0", 4, "step", step=0, steps=92)
    assert end(3, 14) == "[case] Step_0 (1/92): 10.00 s, about 15 min of denoising left"
    begin(4, "Step_1", 14, "step", step=1, steps=92)
    assert end(4, 16) == "[case] Step_1 (2/92): 2.00 s, about 3 min of denoising left"
    begin(5, "CFG_cond", 16, "detail")
    assert end(5, 17) is None


def test_a_terminal_that_is_gone_costs_no_case_and_no_line_of_the_log(tmp_path: Path) -> None:
    code = "import sys; from wanbench.measure.log_lines import say; log = open(sys.argv[1], 'a'); [say(log, x) for x in 'ab']"
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    done = subprocess.run(command, cwd=ROOT / "workflow/scripts", stderr=writing)
    os.close(writing)
    assert done.returncode == 0
    assert [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()] == ["a", "b"]


def test_secrets_and_home_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    monkeypatch.setenv("HOME", "/home/someone")
    value = {"a": ["/home/someone/x", 3, None], "b": "token hf_abcdefgh"}
    assert redacted(value) == {"a": ["~/x", 3, None], "b": "token ***"}


def test_a_record_that_was_written_in_part_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "events")
    log.write({"whole": 1})
    real = log._file

    class AlmostFull:
        name = "events"

        def write(self, data: bytes) -> int:
            return real.write(data[:5])

    log._file = AlmostFull()
    for _ in range(2):
        with pytest.raises(OSError, match="No space left on device: 'events'"):
            log.write({"part": 2})
    assert EventTail(tmp_path / "events").new_records() == [{"whole": 1}]
    assert (tmp_path / "events").stat().st_size == len('{"whole": 1}\n') + 5


def test_what_could_not_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_trace(tmp_path / "trace.json", {"a": 1, "traceEvents": []})
    assert os.listdir(tmp_path) == []


def test_a_trace_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    write_trace(file, {"a": 1, "traceEvents": [{"b": 2}, {"c": 3}]})
    written = json.loads(file.read_text())
    assert written.pop("sha256")
    assert written == {"a": 1, "traceEvents": [{"b": 2}, {"c": 3}]}
    with pytest.raises(ValueError, match="Out of range"):
        write_trace(file, {"a": float("nan"), "traceEvents": []})
    assert json.loads(file.read_text())["a"] == 1
    assert os.listdir(tmp_path) == ["trace.json"]
