"""What a grid will need, before anything runs."""

import pytest

from tiny import tiny_case
from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.duration import estimated_duration_s
from wanbench.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.plan import Needs, needs_of, plan_text, time_text

FULL = {"model": "TI2V-5B", "steps": 10}


def full_case(**settings: object) -> Case:
    return resolve_cases({"cases": {"full": FULL | settings}}, "full")[0]


def test_the_needs_of_a_case_are_the_estimates() -> None:
    case = full_case(gpus=2)
    needs = Needs("full", 2, estimated_peak_bytes(case), estimated_host_bytes(case), estimated_duration_s(case))
    assert needs_of(case) == needs


def test_a_case_takes_no_longer_than_it_may() -> None:
    assert needs_of(full_case(timeout_s=60)).time_s == 60


def test_what_has_no_estimate_is_not_zero() -> None:
    assert needs_of(tiny_case()).gpu_bytes is None
    (row,) = (line for line in plan_text([needs_of(tiny_case())]).splitlines() if line.startswith("tiny"))
    assert row.split()[:3] == ["tiny", "1", "n/a"]


def test_the_table_has_a_row_for_each_case_and_the_sum_of_their_times() -> None:
    rows = [Needs("a", 1, 15_940_000_000, 6_000_000_000, 4000), Needs("longer_name", 2, None, 12_500_000_000, 3300)]
    assert plan_text(rows).splitlines()[:5] == [
        "Case         GPUs  GPU memory  Host memory        Time",
        "a               1     15.9 GB       6.0 GB  1 h 07 min",
        "longer_name     2         n/a      12.5 GB  0 h 55 min",
        "Sum                                         2 h 02 min",
        "",
    ]


def test_the_text_says_what_kind_of_estimates_these_are() -> None:
    text = plan_text([needs_of(full_case())])
    assert "5 to 14 times" in text
    assert "as if nothing of the grid was measured yet" in " ".join(text.split())


@pytest.mark.parametrize(("seconds", "text"), [(1, "0 h 01 min"), (3600, "1 h 00 min"), (360_001, "100 h 01 min")])
def test_minutes_are_rounded_up(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
