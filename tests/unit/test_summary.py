"""The summary: what of it compares, and what stands on a single step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reports import case_trace, full_case, made, report, tables, told
from wanbench.analysis.tables import cases_table
from wanbench.report.summary import summary
from wanbench.trace.reader import Trace

Make = Callable[..., Trace]
EXPERTS = ["high_noise"] * 2 + ["low_noise"]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(case_trace, tmp_path)


def notes(*traces: Trace) -> list[str]:
    """Paragraphs below the table."""
    return summary(cases_table(traces), {}).split("\n\n")[1:]


def test_how_much_was_made_stands_next_to_the_columns_of_the_reference(make: Make) -> None:
    (row,) = tables(report(make(full_case(steps=3, repeats=2))), "Case")[0]
    assert list(row)[7:11] == ["Load", "Generations", "Steps", "Status"]
    assert (row["Generations"], row["Steps"]) == ("2", "3")


def test_sums_over_unlike_amounts_of_work_are_named(make: Make) -> None:
    """As 5B_704p_warm, which made three videos and has twice the energy of the case above it."""
    one, three = make(full_case("one", steps=3)), make(full_case("th_ree", steps=3, repeats=3))
    assert "Load and Energy(kJ)" in notes(one, three)[0]
    assert "generations: th\\_ree (3)." in notes(one, three)[0]
    assert "th\\_ree" not in notes(one, make(full_case("longer", steps=4)))[0]
    assert notes(one, make(full_case("alike", steps=3))) == notes(three) == []


def test_what_disturbed_a_case_stands_beside_its_check(tmp_path: Path) -> None:
    busy = {"Total_Execution": {"cpu_pct": 99.0, "process_cpu_pct": 33.0}}
    quiet = {"Total_Execution": {"cpu_pct": 76.0, "process_cpu_pct": 74.0}}
    scattered = [0.9, 0.1, 2.2, 0.2, 1.9, 0.1, 0.3, 2.1, 0.2]
    changed = [2.0] * 10 + [6.0] * 10

    def check(times_s: list[float], measures: dict) -> str:
        trace = made(tmp_path, full_case(steps=len(times_s)), times_s, measures=measures)
        return tables(report(trace), "Case")[0][0]["Check"]

    assert check([2.0] * 9, quiet) == "passed"
    assert check([2.0] * 9, busy) == "passed, busy machine"
    assert check(scattered, quiet) == "passed, step times scatter"
    assert check(scattered, busy) == "passed, busy machine, step times scatter"
    assert check(changed, busy) == "step time changed, busy machine"


def test_a_median_of_a_single_step_is_named_and_its_cell_stays_a_number(make: Make) -> None:
    short = make(full_case("short", "T2V-A14B", steps=3), experts=EXPERTS)
    enough = make(full_case("enough", steps=3))
    text = report(short, enough)
    assert [row["s/step"] for row in tables(text, "Case")[0]] == ["2.00", "2.00"]
    (note,) = notes(short, enough)
    assert "single step" in note
    assert note.endswith(": short.")
    of_short, of_enough = text.split("## Case: ")[1:3]
    assert "- **Median Time per Step (without first and switch step)**: 2.00 s (1 step)\n" in of_short
    assert "- **Median Time per Step (without first and switch step)**: 2.00 s\n" in of_enough


def test_no_more_than_some_names_are_told(make: Make) -> None:
    (told,) = notes(*(make(full_case(f"c{i}", steps=2)) for i in range(25)))
    assert told.endswith("c18, c19 and 5 more.")


def test_a_checkpoint_of_a_tiny_model_has_no_estimate(tmp_path: Path) -> None:
    def cell(size_bytes: int) -> str:
        loaded = {"Model_Initialization": {"checkpoint_bytes": size_bytes}}
        case = full_case(steps=3, weights="pretrained")
        ((row,), *_) = tables(told(made(tmp_path, case, measures=loaded)), "Case")
        return row["Est. Mem(GB)"]

    assert cell(4_500_000) == "n/a"
    assert float(cell(34_000_000_000)) > 40
