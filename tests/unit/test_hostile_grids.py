"""Grid files are data: they run nothing, and all that is wrong with one is reported at once."""

import os
from pathlib import Path
from typing import Any

import pytest

from hostile import CONTROLS, refused
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml
from wanbench.util.errors import InputError

GOOD = {"model": "TI2V-5B"}
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
    message = refused(lambda: resolve_cases({"cases": {name: GOOD}}, "grid.yaml"))
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


def mistakes(cases: dict[str, Any], **sections: Any) -> list[str]:
    with pytest.raises(InputError) as error:
        resolve_cases({"cases": cases} | sections, "grid.yaml")
    return str(error.value).splitlines()


def keys(*lines: str) -> list[str]:
    """What each line is about."""
    sentences = [line.removeprefix("grid.yaml: case 'bad': ").removeprefix("unknown key ") for line in lines]
    return [sentence.replace(":", " ").split()[0].strip("'") for sentence in sentences]


def test_all_cases_and_what_is_wrong_beside_them() -> None:
    grid = {"name": "x", "axes": {"modl": ["TI2V-5B"]}}
    lines = mistakes({"a": GOOD | {"stepz": 5}, "b": GOOD | {"frames": 2}, "c": 7, "d": GOOD}, grids={}, grid=grid)
    beginnings = [" ".join(line.removeprefix("grid.yaml: ").split()[:2]) for line in lines]
    assert sorted(beginnings) == ["case 'a':", "case 'b':", "case 'c':", "grid: axes:", "unknown key"]


@pytest.mark.parametrize(
    ("settings", "about"),
    [
        # Which sizes, experts and heads there are depends on the model.
        ({"model": "TI2V-5b", "size": "832*480", "guidance": [4, 3], "gpus": 5}, ["model"]),
        ({"size": "832*480", "frames": 2}, ["frames", "model"]),
        (GOOD | {"weights": "pretraned", "checkpoint": "nowhere", "scale": "tiny"}, ["weights"]),
        (GOOD | {"task": "t2i", "image": "nowhere.png"}, ["task"]),
        (GOOD | {"offload": "sequental", "compile": "repeated_blocks"}, ["offload"]),
        (GOOD | {"size": "1280*700", "gpus": 2}, ["size"]),
        (GOOD | {"gpus": 5, "attention": "xformers"}, ["attention", "gpus"]),
    ],
)
def test_what_depends_on_a_mistake_is_no_other(settings: dict[str, Any], about: list[str]) -> None:
    assert sorted(keys(*mistakes({"bad": settings}))) == about


def test_a_mistake_in_the_defaults_is_reported_once() -> None:
    assert len(mistakes({"a": GOOD, "b": GOOD}, defaults={"size": "1280x704"})) == 1
    lines = mistakes({"a": GOOD, "b": GOOD | {"size": "1280*700"}}, defaults={"size": "1280x704"})
    assert sorted("case 'b'" in line for line in lines) == [False, True]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("320*190", "(190 is no multiple of 32; nearest 192)"),
        ("10*97", "(10 is no multiple of 32; nearest 32, and 97 is no multiple of 32; nearest 96)"),
        ("320x192", "(did you mean '320*192'?)"),
    ],
)
def test_a_size_that_cannot_be_is_told_what_is_near(size: str, words: str) -> None:
    (line,) = mistakes({"bad": GOOD | {"size": size, "unofficial_size": True}})
    assert f'size: "{size}" is not allowed {words}; allowed: ' in line
