"""A trace with one value changed is refused by name, or the report of it is made: never a crash of the whole report.

The seed is fixed. `MUTATIONS=1000 python -m pytest -n 0 tests/unit/test_mutated_traces.py` tries more.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from hostile import paths_in
from measured_cases import render
from reports import report
from traces import LIMITS, read_content
from wanbench.analysis.collect import collect
from wanbench.compare.change_verdict import compare
from wanbench.compare.sides import side_of
from wanbench.trace.writer import write_trace

KEPT = ROOT / "results/reference/h200/traces"
MUTATIONS = int(os.environ.get("MUTATIONS", "10"))
DELETED = object()
_BY_HAND = (DELETED, None, 0, -1, 0.5, 10**18, "text", [], {})


def without_samples(content: dict[str, Any]) -> dict[str, Any]:
    """Tables are made without them, and they are nearly all of a trace."""
    return content | {"traceEvents": [event for event in content["traceEvents"] if event["ph"] != "C"]}


def places(content: dict[str, Any]) -> list[list[tuple[Any, ...]]]:
    """Paths to the values of each part of a trace that comes from outside."""
    parts = [list(paths_in(content[part], (part,))) for part in ("quality", "environment", "applied")]
    stages = [i for i, event in enumerate(content["traceEvents"]) if event.get("cat") == "stage"]
    events = ((i, content["traceEvents"][i]) for i in stages)
    return [*parts, [path for i, event in events for path in paths_in(event, ("traceEvents", i))]]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path; what lies beside the path is not copied."""
    key, *further = path
    copy = value.copy()
    if further:
        copy[key] = changed(value[key], tuple(further), new)
    elif new is DELETED:
        del copy[key]
    else:
        copy[key] = new
    return copy


def troubled(content: dict[str, Any]) -> dict[str, Any]:
    """A case that every check marks, so that each has something to say of the values."""
    seen = {"other_processes": 1, "throttled_pct": {"power_cap": 50.0, "thermal_hardware": 50.0}}
    covered = {"sample_coverage_pct": 50.0, "stage_coverage_pct": 50.0, "output_finite": False}
    parts = [{"generation": None, "samples": 9} | seen, {"generation": 0, "samples": 90} | seen]
    return content | {"quality": content["quality"] | seen | covered | {"parts": parts}}


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("5B_704p_cudnn_compiled", without_samples),
        ("T2V_A14B_480p_offload_compiled", lambda content: troubled(without_samples(content))),
    ],
    ids=["sound", "troubled"],
)
def test_a_changed_value_is_refused_or_reported(tmp_path: Path, name: str, made: Callable) -> None:
    sound = made(read_content(KEPT / f"{name}.json.gz"))
    file = tmp_path / f"{name}.json"
    write_trace(file, sound)
    (whole,), _ = collect([file], None, LIMITS)
    chance = random.Random(name)
    parts = places(sound)
    outcomes = {"refused": 0, "reported": 0}
    for _ in range(MUTATIONS):
        path, new = chance.choice(chance.choice(parts)), chance.choice(_BY_HAND)
        write_trace(file, changed(sound, path, new))
        traces, excluded = collect([file], None, LIMITS)
        outcomes["refused" if excluded else "reported"] += 1
        if excluded:
            continue
        try:
            report(*traces)
            render(compare("old", side_of([whole]), side_of(traces)))
        except Exception as error:
            raise AssertionError(f"{path} = {new}") from error
    assert min(outcomes.values()) > MUTATIONS // 10
