"""What grid files and commands name is found from the working directory, and else in the project."""

from pathlib import Path

import pytest

from conftest import ROOT
from wanbench.util.paths import named_path


def test_the_working_directory_goes_before_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_path("config/first_frame.png") == ROOT / "config/first_frame.png"
    (tmp_path / "config").mkdir()
    (tmp_path / "config/first_frame.png").touch()
    assert named_path("config/first_frame.png") == Path("config/first_frame.png")


def test_what_is_nowhere_and_what_is_absolute_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_path("no/such/file") == Path("no/such/file")
    assert named_path(tmp_path) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_path("~/x.png") == tmp_path / "x.png"
