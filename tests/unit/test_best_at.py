"""What each of several ways to make the same video is best at."""

import random
from dataclasses import replace

import pytest

from wanbench.analysis.best_at import marks_of
from wanbench.analysis.choices import Choice

ALIKE_PCT, ALIKE_GENERATION_PCT = 2, 2.5
LEAST_MEMORY = "least memory (allocated)"


def choice(offload: str, time_s: float | None, peak_bytes: float | None, energy_j: float | None = None) -> Choice:
    settings = {"offload": offload, "steps": f"{time_s}"}
    return Choice(offload, None, False, settings, "n/a", time_s=time_s, energy_j=energy_j, peak_bytes=peak_bytes)


@pytest.mark.parametrize(
    ("choices", "marks"),
    [
        # Each is better at one thing.
        (
            [("none", 1.0, 9.0, 5.0), ("model", 2.0, 3.0, 6.0)],
            [["fastest", "least energy", "Pareto"], [LEAST_MEMORY, "Pareto"]],
        ),
        # As much memory, and slower.
        ([("none", 1.0, 3.0), ("model", 2.0, 3.0)], [["fastest", LEAST_MEMORY, "Pareto"], [LEAST_MEMORY]]),
        # As fast, and more memory.
        ([("none", 1.0, 9.0), ("model", 1.0, 3.0)], [["fastest"], ["fastest", LEAST_MEMORY, "Pareto"]]),
        # Equal in both.
        ([("none", 1.0, 3.0), ("model", 1.0, 3.0)], [["fastest", LEAST_MEMORY, "Pareto"]] * 2),
        # Best at neither, and no other is better in both.
        (
            [("none", 1.0, 9.0), ("model", 2.0, 5.0), ("group", 3.0, 3.0)],
            [["fastest", "Pareto"], ["Pareto"], [LEAST_MEMORY, "Pareto"]],
        ),
        # The same settings do not beat themselves, and are beaten together.
        (
            [("none", 1.0, 3.0), ("none", 2.0, 3.0), ("model", 3.0, 4.0), ("model", 4.0, 4.0)],
            [["fastest", LEAST_MEMORY, "Pareto"], [LEAST_MEMORY, "Pareto"], [], []],
        ),
        # Nothing is concluded from what was not measured.
        ([("none", 1.0, None), ("model", 2.0, 3.0)], [["fastest"], ["Pareto"]]),
        ([("none", None, 3.0), ("model", 2.0, 4.0)], [[LEAST_MEMORY], ["Pareto"]]),
    ],
)
def test_what_a_choice_is_best_at(choices: list[tuple], marks: list[list[str]]) -> None:
    assert marks_of([choice(*figures) for figures in choices], ALIKE_PCT, 0) == marks


@pytest.mark.parametrize("others", [[], [replace(choice("none", None, None), fits=False)]])
def test_the_only_way_that_fits_is_best_at_nothing(others: list[Choice]) -> None:
    assert marks_of([choice("model", 2.0, 3.0), *others], ALIKE_PCT, 0)[0] == []


def test_peaks_that_equal_cases_may_have_are_the_same_memory() -> None:
    """As I2V_A14B_480p was, which 1.9 MB put on the front beside a case that is 36 s faster."""
    compiled, eager = choice("none", 237.21, 78.858e9), choice("model", 272.94, 78.856e9)
    assert marks_of([compiled, eager], ALIKE_PCT, 0) == [["fastest", LEAST_MEMORY, "Pareto"], [LEAST_MEMORY]]
    assert marks_of([compiled, eager], 0, 0) == [["fastest", "Pareto"], [LEAST_MEMORY, "Pareto"]]


def test_times_and_energies_that_equal_cases_may_have_share_the_mark() -> None:
    """As 108.18 s and 108.69 s, which were of two GPUs of one name."""
    figures = [("none", 108.18, 47e9, 100.0), ("model", 108.69, 47e9, 102.0), ("group", 112.0, 47e9, 103.0)]
    marks = marks_of([choice(*each) for each in figures], ALIKE_PCT, ALIKE_GENERATION_PCT)
    assert [("fastest" in of_one, "least energy" in of_one) for of_one in marks] == [
        (True, True),
        (True, True),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("third", "front"),
    [(("group", 135.0, 46.5e9), [True, True, False]), (("sequential", 113.9, 30e9), [False, False, True])],
)
def test_what_equal_cases_may_differ_by_decides_nothing_of_the_front(third: tuple, front: list[bool]) -> None:
    """As 5B_704p_cudnn_compiled and 5B_704p_compiled: 112.44 s and 113.81 s, with the same memory."""
    choices = [choice("none", 112.44, 47e9), choice("model", 113.81, 47e9), choice(*third)]
    assert ["Pareto" in marks for marks in marks_of(choices, ALIKE_PCT, ALIKE_GENERATION_PCT)] == front


def test_the_front_is_that_of_all_pairs() -> None:
    draw = random.Random(1)
    ways = ["none", "model", "group", "group_stream"]
    few = [choice(draw.choice(ways), draw.randint(1, 9), draw.randint(1, 9)) for _ in range(200)]
    expected = [not any(_beats(other, one) for other in few) for one in few]
    assert ["Pareto" in marks for marks in marks_of(few, 0, 0)] == expected


def _beats(other: Choice, one: Choice) -> bool:
    as_good = other.time_s <= one.time_s and other.peak_bytes <= one.peak_bytes
    return other.way != one.way and as_good and (other.time_s, other.peak_bytes) != (one.time_s, one.peak_bytes)
