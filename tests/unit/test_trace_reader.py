"""The reader refuses what is no trace, with file and key."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from traces import LIMITS, change, records, trace_of, write
from wanbench.analysis.collect import collect
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import read_trace
from wanbench.util.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, trace_of(records([1.0, 1.0, 1.0])))


TOTAL = "Total_Execution"


def stage_event(content: dict, name: str = "Step_1_Inference") -> dict:
    return next(event for event in content["traceEvents"] if event["name"] == name)


def counter(content: dict) -> dict:
    return next(event for event in content["traceEvents"] if event["ph"] == "C")


@pytest.mark.parametrize(
    ("alter", "parts"),
    [
        (lambda c: c.update(schema_version=1), ["schema_version", "1", "allowed: 2"]),
        (lambda c: stage_event(c).update(name="Unknown"), ["traceEvents[", ".name", "'Unknown' is no stage"]),
        (lambda c: stage_event(c).update(name="Step_0_Inference"), [".name", "'Step_0_Inference' stands twice"]),
        (lambda c: stage_event(c)["args"].update(time_s=-1), ["args.time_s", "-1"]),
        (lambda c: stage_event(c)["args"].update(power=3), ["args", "power"]),
        (lambda c: c.update(status="fine"), ["status", "'fine'"]),
        (lambda c: c.update(total_duration_s=1e300), ["total_duration_s", "9e+18"]),
        (lambda c: c["traceEvents"].append(3), ["traceEvents[", "object"]),
        (lambda c: counter(c)["args"].update(machine=None), ["traceEvents", "CPU (%)", "numbers", "None"]),
        (lambda c: counter(c)["args"].update(machine=1e300), ["traceEvents", "CPU (%)", "up to 9e+18", "1e+300"]),
        (lambda c: counter(c).update(ts=1e12), ["counter 'CPU (%)' at ", "ts must rise"]),
        (lambda c: counter(c).update(ts=-1e5), ["counter 'CPU (%)' at -100000.0: ts must rise from 0"]),
        (lambda c: c.update(error={"type": None, "message": None, "stage_reached": None}), ["error", "null", "'ok'"]),
        (lambda c: stage_event(c)["args"].update(step=2), ["traceEvents[", "args.step", "must be 1", "got 2"]),
        (lambda c: stage_event(c)["args"].update(generation=1), ["args.generation", "1 generations from 0, got 1"]),
        (lambda c: stage_event(c)["args"].update(measured=False), ["args.measured", "warm-up", "got False"]),
        (lambda c: stage_event(c)["args"].update(interrupted=True), ["args.interrupted", "'Step_1_Inference'"]),
        (lambda c: stage_event(c)["args"].update(generation=None), ["'Step_1_Inference' is of a generation, got None"]),
        (lambda c: stage_event(c, TOTAL)["args"].update(generation=0), [f"{TOTAL!r} is of no generation, got 0"]),
        (lambda c: stage_event(c, TOTAL)["args"].update(time_s=0), ["args.time_s", f"{TOTAL!r} takes time"]),
    ],
)
def test_a_trace_with_an_error_is_refused_by_file_and_key(file: Path, alter: Callable, parts: list[str]) -> None:
    change(file, alter)
    with pytest.raises(InputError) as error:
        read_trace(file)
    for part in [str(file), *parts]:
        assert part in str(error.value)


def test_each_stage_that_a_case_that_ended_well_must_have_is_missed(tmp_path: Path) -> None:
    warmed = trace_of(records([1.0, 1.0, 1.0], generations=2, warmup=1))
    read_trace(write(tmp_path, warmed))
    stages = [event for event in warmed["traceEvents"] if event.get("cat") == "stage"]
    assert len(stages) == 3 + 2 * (4 + 3 * 2)
    for stage in stages:
        events = [event for event in warmed["traceEvents"] if event is not stage]
        generation = stage["args"]["generation"]
        of_generation = "" if generation is None else f" of generation {generation}"
        with pytest.raises(InputError) as error:
            read_trace(write(tmp_path, warmed | {"traceEvents": events}))
        assert f"traceEvents: {stage['name']!r}{of_generation} is missing" in str(error.value)


def test_a_case_that_failed_has_the_stages_up_to_there(tmp_path: Path) -> None:
    rows = records([1.0] * 3)
    failed = Outcome("error", "it failed", "ValueError")
    for last in range(1, len(rows)):
        read_trace(write(tmp_path, trace_of(rows[:last], outcome=failed)))


_CHANGED = "sha256: the file was changed after it was measured"


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda text: text.replace('"time_s":1.0', '"time_s":NaN', 1), "not valid JSON: unexpected character"),
        (lambda text: json.dumps(json.loads(text) | {"traceEvents": {}}), "traceEvents: must be array"),
        (lambda text: re.sub(r',\n "sha256": "\w+"', "", text), "the file: sha256 is missing"),
        (lambda text: text.replace('"time_s":1.0', '"time_s":0.9', 1), _CHANGED),
        (lambda text: text.replace(": ", ":  ", 1), _CHANGED),
        (lambda text: text + "\n", _CHANGED),
        *[(lambda _, text=text: text, "JSON") for text in ("", "[1]", "{", '{"schema_version": 1, "status"')],
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(file: Path, edit: Callable[[str], str], part: str) -> None:
    before = file.read_text("utf-8")
    file.write_text(edit(before), "utf-8")
    assert file.read_text("utf-8") != before
    with pytest.raises(InputError) as error:
        read_trace(file)
    assert str(error.value).startswith(f"{file}: ")
    assert part in str(error.value)


def test_a_compressed_trace_is_the_same_trace_and_a_broken_one_or_none_is_refused(file: Path) -> None:
    packed = file.with_name("tiny.json.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    traces, excluded = collect([packed], None, LIMITS)
    assert excluded == []
    assert traces[0].stages == read_trace(file).stages
    for data in (file.read_bytes(), gzip.compress(file.read_bytes())[:-20]):
        packed.write_bytes(data)
        with pytest.raises(InputError, match="not valid gzip"):
            read_trace(packed)
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(file.with_name("none.json"))


def expected(file: Path, **changes: str) -> dict:
    values = {"case_sha256": json.loads(file.read_text())["digests"]["case_sha256"], "measure": "m", "env": "e"}
    values |= changes
    return values | {"case_sha256": {"tiny": values["case_sha256"]}}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"case_sha256": "0" * 64}, "other settings of this case"),
        ({"measure": "n"}, "other measuring code"),
        ({"env": "f"}, "other measuring environment"),
    ],
)
def test_a_stale_trace_is_named_and_not_used(file: Path, changes: dict, part: str) -> None:
    traces, excluded = collect([file], expected(file, **changes), LIMITS)
    assert traces == []
    assert [item.case for item in excluded] == ["tiny"]
    assert part in excluded[0].reason
    assert str(file) in excluded[0].reason


def test_a_trace_under_another_name_is_not_used(file: Path) -> None:
    other = file.rename(file.with_name("other.json"))
    _, excluded = collect([other], {"case_sha256": {"other": "0" * 64}, "measure": "m", "env": "e"}, LIMITS)
    assert "holds case 'tiny'" in excluded[0].reason
    assert excluded[0].reason.endswith(f"; --forcerun {other} measures it again")


def test_a_broken_trace_does_not_keep_the_others_from_being_used(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    traces, excluded = collect([broken, file], expected(file), LIMITS)
    assert [trace.case["name"] for trace in traces] == ["tiny"]
    assert [item.case for item in excluded] == ["broken"]
    # In several processes, too.
    assert collect([broken, file], expected(file), LIMITS, processes=2) == (traces, excluded)
