"""Grid files are data: they run nothing, and their names lead nowhere."""

import os
from pathlib import Path

import pytest

from hostile import CONTROLS, refused
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml

_LAUGHS = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + _LAUGHS, "its aliases stand for more than 1,000,000 values"),
        ("cases: &a {x: *a}\n", "line 1: stands for itself"),
        # Later versions of libyaml stop at 1,000 brackets by themselves.
        ("[" * 300_000, "nest"),
        ("- " * 300_000, "line 1: nests more than 100 deep"),
        ("a: !!python/object/apply:os.system ['touch planted']\n", "could not determine a constructor"),
        ("? [a]\n: b\n", "line 1: a list is not allowed as a key"),
        ("a: 2001-13-45\n", "month must be in 1..12"),
        ("a: " + "9" * 5000, "integer"),
        ("a: !!bool perhaps", "not valid YAML"),
        ('cases: {a: {prompt: "\\ud83d\\ude00"}}', "line 1, column 24: not valid YAML: found invalid Unicode"),
        ("a: \x1b[31m", "control characters are not allowed"),
    ],
    ids=["laughs", "endless", "brackets", "dashes", "object", "key", "date", "digits", "bool", "surrogate", "escape"],
)
def test_a_hostile_grid_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(text, "utf-8")
    assert part in refused(lambda: read_yaml(Path("grid.yaml")))
    assert os.listdir() == ["grid.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/b", "..", ".x", "a..b", "a b", "-a", "", "ä", 7),
        *("a\n", "a\x00", "a\u202eb", "<b>", "$x$", "a" * 101),
    ],
)
def test_a_name_that_is_no_plain_file_name_is_refused(name: object) -> None:
    message = refused(lambda: resolve_cases({"cases": {name: {"model": "TI2V-5B"}}}, "grid.yaml"))
    assert message.startswith("grid.yaml: case name ")
    assert "letters, digits" in message


@pytest.mark.parametrize(
    "pattern", ["../{model}", "{model}/x", "{model:>9999999999}", "{model!r}", "{model.__class__}"]
)
def test_a_pattern_of_names_makes_plain_names_only(pattern: str) -> None:
    refused(lambda: resolve_cases({"grid": {"name": pattern, "axes": {"model": ["TI2V-5B"]}}}, "g"))


def test_a_grid_of_more_combinations_than_can_be_listed_is_refused() -> None:
    axes = {key: list(range(1, 1001)) for key in ("steps", "seed", "repeats")}
    assert "1,000,000,000 combinations" in refused(lambda: resolve_cases({"grid": {"name": "x", "axes": axes}}, "g"))


@pytest.mark.parametrize(("key", "value"), [("size", "64*64\n"), ("revision", "0" * 40 + "\n"), ("offload", CONTROLS)])
def test_a_value_is_checked_to_its_end(key: str, value: str) -> None:
    settings = {"model": "TI2V-5B", "weights": "pretrained", "unofficial_size": True, key: value}
    assert f"{key}: " in refused(lambda: resolve_cases({"cases": {"a": settings}}, "g"))
