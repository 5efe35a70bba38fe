"""The summary: what stands in it beside the reference's columns."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reports import case_trace, full_case, made, report, tables
from wanbench.trace.reader import Trace

Make = Callable[..., Trace]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def summary(*traces: Trace) -> list[dict[str, str]]:
    return tables(report(*traces), "Case")[0]


def test_only_what_differs_between_cases_has_a_column(make: Make) -> None:
    alone = summary(make(full_case("one", steps=3)))
    assert list(alone[0])[7:] == ["Load", "Status", "Check"]
    compiled = make(full_case("two", steps=3, repeats=2, offload="model", compile="repeated_blocks"))
    both = summary(make(full_case("one", steps=3)), compiled)
    assert [(row["Steps"], row["Settings"]) for row in both] == [("3", ""), ("3 x 2", "compile: repeated\\_blocks")]
    assert "Model" not in both[0]


def test_what_disturbed_a_case_stands_beside_its_check(tmp_path: Path) -> None:
    busy = {"Total_Execution": {"cpu_pct": 99.0, "process_cpu_pct": 33.0}}
    quiet = {"Total_Execution": {"cpu_pct": 76.0, "process_cpu_pct": 74.0}}
    scattered = [0.9, 0.1, 2.2, 0.2, 1.9, 0.1, 0.3, 2.1, 0.2]
    changed = [2.0] * 10 + [6.0] * 10

    def check(times_s: list[float], measures: dict) -> str:
        return summary(made(tmp_path, full_case(steps=len(times_s)), times_s, measures=measures))[0]["Check"]

    assert check([2.0] * 9, quiet) == "passed"
    assert check([2.0] * 9, busy) == "passed, busy machine"
    assert check(scattered, quiet) == "passed, step times scatter"
    assert check(changed, busy) == "step time changed, busy machine"


def test_a_median_of_a_single_step_is_marked_in_its_case(make: Make) -> None:
    experts = ["high_noise"] * 2 + ["low_noise"]
    text = report(make(full_case("short", "T2V-A14B", steps=3), experts=experts), make(full_case("enough", steps=3)))
    of_short, of_enough = text.split("## Case: ")[1:3]
    assert "- **Median Time per Step**: 2.00 s (1 step)\n" in of_short
    assert "- **Median Time per Step**: 2.00 s\n" in of_enough
