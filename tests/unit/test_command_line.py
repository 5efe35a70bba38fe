"""What a command may say, and where the files lie that it and grid files name."""

import os
from pathlib import Path

import pytest

from conftest import ROOT
from hostile import refused
from wanbench.cases.command_line import grid_file
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path, unwritable


@pytest.mark.parametrize(
    ("options", "config_files", "part"),
    [
        # 010 and a:\x20b, of which Snakemake makes a number and a mapping.
        ({"grid": 10}, [], "--config: grid: Snakemake reads 10 and no text"),
        ({"baseline": {"a": "b"}}, [], "Snakemake reads {'a': 'b'} and no text"),
        ({"grid": "a.yaml"}, [Path("b.yaml")], "b.yaml and a.yaml are 2 grid files; allowed: one"),
    ],
)
def test_what_has_no_effect_is_refused(options: dict, config_files: list[Path], part: str) -> None:
    with pytest.raises(InputError, match=part):
        grid_file(options, config_files)


def test_the_working_directory_goes_before_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_path("config/first_frame.png") == ROOT / "config/first_frame.png"
    (tmp_path / "config").mkdir()
    (tmp_path / "config/first_frame.png").touch()
    assert named_path("config/first_frame.png") == Path("config/first_frame.png")
    assert named_path("no/such/file") == Path("no/such/file")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_path("~/x.png") == tmp_path / "x.png"


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.png", "a\0b", "x" * 5000, "\ud800"])
@pytest.mark.parametrize("key", ["image", "lora", "checkpoint"])
def test_a_name_that_no_file_can_have_is_refused(key: str, name: str) -> None:
    of_key = {"image": {"task": "i2v"}, "lora": {}, "checkpoint": {"weights": "pretrained"}}[key]
    case = {"model": "TI2V-5B", **of_key, key: name + ".safetensors" * (key == "lora")}
    assert f"case 'a': {key}: " in refused(lambda: resolve_cases({"cases": {"a": case}}, "grid.yaml"))


def test_in_a_link_to_nowhere_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    folders = [str(tmp_path / "results"), str(tmp_path / "other")]
    assert unwritable(folders) == folders[:1]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.safetensors")
    for case in ({"task": "i2v", "image": str(pipe)}, {"lora": str(pipe)}):
        grid = {"cases": {"a": {"model": "TI2V-5B"} | case}}
        assert "is no file" in refused(lambda grid=grid: resolve_cases(grid, "grid.yaml"))
    assert "is no file" in refused(lambda: read_yaml(pipe))
