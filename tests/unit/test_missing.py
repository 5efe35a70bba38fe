"""What a user reads of cases that need more than the machine has."""

import pytest

from wanbench.cases.messages import a_few, of_no_gpu


@pytest.mark.parametrize(
    ("names", "text"),
    [("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("a" * 29, "a, a, a and 26 more")],
)
def test_a_few_names_stand_for_all(names: str, text: str) -> None:
    assert a_few(list(names)) == text


def test_cases_without_a_gpu_are_one_line_that_says_what_to_do() -> None:
    line = of_no_gpu(["big"])
    assert line.startswith("1 case needs a GPU, and NVML knows of none that may be used here: big. ")
    for remedy in ("nvidia-smi -L", "CUDA_VISIBLE_DEVICES", "on a cluster", "scale: tiny"):
        assert remedy in line
    assert "\n" not in line
    assert of_no_gpu(["big", "real"]).startswith(
        "2 cases need a GPU, and NVML knows of none that may be used here: big, real."
    )


def test_why_no_gpu_can_be_used_is_told_where_it_is_known() -> None:
    line = of_no_gpu(["big", "real"], "NVML does not answer:\nDriver Not Loaded")
    assert line == "2 cases need a GPU (big, real), and none can be used here: NVML does not answer: Driver Not Loaded"
