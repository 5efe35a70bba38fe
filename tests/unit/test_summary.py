"""The summary: what of it compares, and what stands on a single step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reports import case_trace, full_case, report, tables
from wanbench.report.summary import summary
from wanbench.report.tables import cases_table
from wanbench.trace.reader import Trace

Make = Callable[..., Trace]
EXPERTS = ["high_noise"] * 2 + ["low_noise"]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def notes(*traces: Trace) -> list[str]:
    """Paragraphs below the table."""
    return summary(cases_table(traces)).split("\n\n")[1:]


def test_how_much_was_made_stands_next_to_the_columns_of_the_reference(make: Make) -> None:
    (row,) = tables(report(make(full_case(steps=3, repeats=2))), "Case")[0]
    assert list(row)[7:11] == ["Load", "Generations", "Steps", "Status"]
    assert (row["Generations"], row["Steps"]) == ("2", "3")


def test_sums_over_unlike_amounts_of_work_are_named(make: Make) -> None:
    """As 5B_704p_warm, which made three videos and has twice the energy of the case above it."""
    whole = (
        "Time(s), Load and Energy(kJ) are of the whole process, so they compare only where Generations and Steps are "
        "the same."
    )
    one, three = make(full_case("one", steps=3)), make(full_case("th_ree", steps=3, repeats=3))
    assert notes(one, three) == [f"{whole} Several videos were made by: th\\_ree (3)."]
    assert notes(one, make(full_case("longer", steps=4))) == [whole]
    assert notes(one, make(full_case("alike", steps=3))) == notes(three) == []


def test_a_median_of_a_single_step_is_named_and_its_cell_stays_a_number(make: Make) -> None:
    short = make(full_case("short", "T2V-A14B", steps=3), experts=EXPERTS)
    enough = make(full_case("enough", steps=3))
    text = report(short, enough)
    assert [row["s/step"] for row in tables(text, "Case")[0]] == ["2.00", "2.00"]
    assert notes(short, enough) == [
        "s/step is of a single step (the others were the first, and with A14B the expert switch) in: short."
    ]
    of_short, of_enough = text.split("## Case: ")[1:3]
    assert "- **Median Time per Step (without first and switch step)**: 2.00 s (1 step)\n" in of_short
    assert "- **Median Time per Step (without first and switch step)**: 2.00 s\n" in of_enough


def test_no_more_than_some_names_are_told(make: Make) -> None:
    (told,) = notes(*(make(full_case(f"c{i}", steps=2)) for i in range(25)))
    assert told.endswith("c18, c19 and 5 more.")
