"""Which grid file a command names, what else it may say, and what it says where there is no GPU."""

from pathlib import Path

import pytest

from wanbench.cases.command_line import DEFAULT_GRID, grid_file
from wanbench.cases.messages import of_no_gpu
from wanbench.util.errors import InputError


@pytest.mark.parametrize(
    ("options", "config_files", "named"),
    [
        ({}, [], DEFAULT_GRID),
        ({"baseline": "old"}, [], DEFAULT_GRID),
        ({"grid": "a.yaml"}, [], "a.yaml"),
        ({}, [Path("a.yaml")], "a.yaml"),
        ({"grid": "a.yaml"}, [Path("a.yaml").absolute()], "a.yaml"),
    ],
)
def test_one_grid_file_is_named(options: dict, config_files: list[Path], named: str) -> None:
    assert grid_file(options, config_files) == named


@pytest.mark.parametrize(
    ("options", "config_files", "part"),
    [
        ({"grid": "a.yaml", "steps": 3}, [], "steps has no effect; allowed: grid=FILE, baseline=PATH, gpu=NAME"),
        # 010 and a:\x20b, of which Snakemake makes a number and a mapping.
        ({"grid": 10}, [], "--config: grid: Snakemake reads 10 and no text"),
        ({"baseline": {"a": "b"}}, [], "Snakemake reads {'a': 'b'} and no text"),
        ({"grid": "a.yaml"}, [Path("b.yaml")], "b.yaml and a.yaml are 2 grid files; allowed: one"),
        ({}, [Path("a.yaml"), Path("b.yaml")], "a.yaml and b.yaml are 2 grid files; allowed: one"),
    ],
)
def test_what_has_no_effect_is_refused(options: dict, config_files: list[Path], part: str) -> None:
    with pytest.raises(InputError, match=part):
        grid_file(options, config_files)


def test_cases_without_a_gpu_are_one_line_that_says_what_to_do_or_why_none_can_be_used() -> None:
    line = of_no_gpu(["big"])
    assert line.startswith("1 case needs a GPU, and NVML knows of none that may be used here: big. ")
    for remedy in ("nvidia-smi -L", "CUDA_VISIBLE_DEVICES", "on a cluster", "scale: tiny"):
        assert remedy in line
    assert "\n" not in line
    line = of_no_gpu(["big", "real"], "NVML does not answer:\nDriver Not Loaded")
    assert line == "2 cases need a GPU (big, real), and none can be used here: NVML does not answer: Driver Not Loaded"
