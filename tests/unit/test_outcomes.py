"""How an attempt ended, what it logs meanwhile, and what it writes down: nothing is measured."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from traces import records
from wanbench.measure.case_log import Progress
from wanbench.measure.outcome import ErrorRecord, Outcome, TimeLimit, is_out_of_memory, outcome_of
from wanbench.trace.writer import write_trace
from wanbench.util.event_log import EventLog, EventTail

LIMIT = TimeLimit(5, "5 s")
DISCONNECTED = {"type": "RuntimeError", "message": "Connection closed by peer", "out_of_memory": False, "time_ns": 20}
OOM = {"type": "OutOfMemoryError", "message": "CUDA out of memory", "out_of_memory": True, "time_ns": 30}
BROKEN = {"type": "ValueError", "message": "broken", "out_of_memory": False, "time_ns": 10}


@pytest.mark.parametrize(
    ("ends", "status", "message"),
    [
        ([(0, None)], "error", "ended with exit code 0 and without a report"),
        ([(-9, None)], "killed", "ended by signal SIGKILL; the kernel's"),
        # Of the real-time signals Python names the first and the last.
        ([(-40, None)], "killed", "ended by signal 40"),
        ([(1, OOM)], "oom", "CUDA"),
        ([(1, BROKEN)], "error", "broken"),
        ([(79, None)], "error", "the disk of results/attempts is full"),
        # Of several ranks, the one that failed first says how the case ended.
        ([(1, DISCONNECTED), (-9, None)], "killed", "rank 1: ended by signal SIGKILL"),
        ([(1, DISCONNECTED), (1, BROKEN)], "error", "rank 1: broken"),
        ([(None, None), (1, BROKEN)], "error", "rank 1: broken"),
        # Torch aborts a rank that waited for others in vain.
        ([(-6, None), (1, BROKEN)], "error", "rank 1: broken"),
        ([(-6, None), (None, None)], "killed", "ended by signal SIGABRT"),
        ([(1, DISCONNECTED), (1, OOM)], "oom", "rank 1: CUDA out of memory"),
        ([(None, None), (None, None), (79, None)], "error", "rank 2: the disk of results/attempts is full"),
    ],
)
def test_outcomes(ends: list[tuple[int | None, ErrorRecord | None]], status: str, message: str) -> None:
    codes, errors = zip(*ends)
    outcome = outcome_of(codes, errors, None, finished=False)
    assert outcome.status == status
    assert outcome.message.startswith(message)
    # All was measured: how the processes went after that is no part of the case.
    assert outcome_of(codes, errors, LIMIT, finished=True) == Outcome("ok")


def test_a_process_that_was_killed_while_the_memory_of_its_container_ran_out_says_so() -> None:
    killed = outcome_of([-9], [None], None, False, memory_bytes=1_500_000_000)
    assert killed == Outcome("killed", "ended by signal SIGKILL: the memory of its container or job ran out, 1.5 GB")
    assert "memory of its" not in outcome_of([-11], [None], None, False, memory_bytes=1).message


def test_a_case_that_is_ended_for_its_time_is_no_case_of_a_rank_that_failed_or_of_memory() -> None:
    for codes, errors in (([-9], [None]), ([None, 1], [None, DISCONNECTED])):
        ended = outcome_of(codes, errors, LIMIT, False, memory_bytes=1)
        assert ended == Outcome("timeout", "ended after 5 s")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_terminal_that_is_gone_costs_no_case_and_no_line_of_the_log(tmp_path: Path) -> None:
    code = (
        "import sys; from wanbench.measure.case_log import log_line\n"
        "log = open(sys.argv[1], 'a'); [log_line(log, 'tiny', x) for x in 'ab']"
    )
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    done = subprocess.run(command, cwd=ROOT / "workflow/scripts", stderr=writing)
    os.close(writing)
    assert done.returncode == 0
    assert [line.split()[1:] for line in (tmp_path / "log").read_text().splitlines()] == [["[tiny]", x] for x in "ab"]


def test_a_record_that_is_being_written_is_left_for_the_next_read(tmp_path: Path) -> None:
    file = tmp_path / "events"
    tail = EventTail(file)
    assert tail.new_records() == []
    for written, found in ((b'{"a": 1}\n{"a"', [{"a": 1}]), (b": 2}\n", [{"a": 2}])):
        with file.open("ab") as more:
            more.write(written)
        assert tail.new_records() == found


def test_a_record_that_was_written_in_part_is_the_last(tmp_path: Path) -> None:
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


def test_a_trace_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "trace.json"
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_trace(file, {"a": 1, "traceEvents": []})
    assert os.listdir(tmp_path) == []
    write_trace(file, {"a": 1, "traceEvents": [{"b": 2}, {"c": 3}]})
    written = json.loads(file.read_text())
    assert written.pop("sha256")
    assert written == {"a": 1, "traceEvents": [{"b": 2}, {"c": 3}]}
    with pytest.raises(ValueError, match="Out of range"):
        write_trace(file, {"a": float("nan"), "traceEvents": []})
    assert json.loads(file.read_text())["a"] == 1
    assert os.listdir(tmp_path) == ["trace.json"]


def test_progress_lines_show_the_stage_the_step_and_the_time_left() -> None:
    progress = Progress()
    lines = [progress.line(row) for row in records([10.0, *[2.0] * 91])]
    expected = ["T5_Encoding: 0.50 s", "TI2V_Preprocess: 0.25 s"]
    expected += ["Step_0 (1/92): 10.00 s, about 15.2 min of denoising left"]
    expected += ["Step_1 (2/92): 2.00 s, about 3.0 min of denoising left"]
    assert [line for line in lines if line][2:6] == expected
