"""The full-scale grid: nobody pays twice for one measurement without being told."""

from collections import defaultdict
from pathlib import Path

import pytest

from conftest import ROOT
from wanbench.cases.case import case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml


def test_the_cases_that_are_measured_twice_are_those_that_the_file_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, list[str]] = defaultdict(list)
    for case in resolve_cases(read_yaml(Path("config/wan22.yaml")), "wan22.yaml"):
        names[case_sha256(case)].append(case.name)
    twice = [same for same in names.values() if len(same) > 1]
    assert len(twice) == 3
    comment = " ".join(Path("config/wan22.yaml").read_text("utf-8").replace("\n#", "\n").split())
    for first, second in twice:
        assert f"{first} and {second}" in comment
