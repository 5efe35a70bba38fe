"""What of a case counts: its identity, what changes it, and that nobody pays twice for one measurement untold."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from PIL import Image

from conftest import ROOT
from example_cases import resolve
from wanbench.cases.case import Case, case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml

GOOD = {"model": "TI2V-5B"}


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_identity_of_a_case_is_what_is_not_neutral_without_the_name() -> None:
    one, renamed, longer = resolve(GOOD), resolve(GOOD, "b"), resolve(GOOD | {"steps": 51})
    assert case_sha256(one) == case_sha256(renamed) != case_sha256(longer)
    assert set(one.identity()) == {
        *("model", "task", "size", "frames", "steps", "guidance", "shift", "prompt", "negative_prompt")
    }
    changed = {"offload": "model", "cache": "first_block", "vae_tiling": True, "weights": "pretrained"}
    assert set(resolve(GOOD | changed).identity()) == {*one.identity(), *changed, "checkpoint", "revision"}


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "T2V-A14B"},
        {"task": "i2v", "image": "config/first_frame.png"},
        {"weights": "pretrained"},
        {"scale": "tiny", "cache": "first_block"},
        {"cache": "first_block", "cache_threshold": 0.2, "seed": 7},
    ],
)
def test_settings_and_identity_give_the_case_back(settings: dict) -> None:
    case = resolve(GOOD | settings)
    assert Case.from_settings(case.settings()) == case
    assert Case.from_identity(case.name, case.identity(), case.places()) == case
    # As written before there were some of the settings.
    older = {key: value for key, value in case.settings().items() if key in case.identity()}
    assert Case.from_settings({"name": case.name, "image": case.image} | older) == case


def test_an_image_is_known_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    moved = tmp_path / "moved.png"
    shutil.copy("config/first_frame.png", moved)
    there = resolve(GOOD | {"task": "i2v", "image": str(moved)})
    assert case_sha256(there) == case_sha256(resolve(GOOD | {"task": "i2v", "image": "config/first_frame.png"}))
    Image.open(moved).rotate(180).save(moved)
    assert case_sha256(resolve(GOOD | {"task": "i2v", "image": str(moved)})) != case_sha256(there)


_IDENTITIES = """
import dataclasses, json, sys
from pathlib import Path
from wanbench.registry import settings
{change}
settings.SETTINGS = {{row.key: row for row in settings.ROWS}}
from wanbench.cases.case import case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml
cases = resolve_cases(read_yaml(Path("config/config.yaml")), "g")
print(json.dumps([[case_sha256(case), case.identity(), case.settings()] for case in cases]))
"""
_NEW_SETTING = """
new_one = settings.Setting("new_one", "whole", {"type": "integer"}, 3, settings.METHOD, neutral=3, meaning="new")
beside = dataclasses.replace(new_one, key="beside_a_group", only_with=(("offload", ("group",)),))
settings.ROWS = (new_one, *settings.ROWS, beside)
"""
_OTHER_ROWS = (
    'settings.ROWS = tuple(dataclasses.replace(row, {}) if row.key == "vae_dtype" else row for row in settings.ROWS)'
)


def identities(change: str) -> list[list]:
    """Digest, identity and settings of each case of the default grid where the rows of the settings are changed."""
    code = _IDENTITIES.format(change=change)
    environment = os.environ | {"PYTHONPATH": "workflow/scripts"}
    return json.loads(
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
    )


def test_a_new_setting_and_a_new_meaning_change_no_identity_and_a_new_default_changes_those_that_get_it() -> None:
    now = identities("")
    new = identities(_NEW_SETTING)
    # In the text that Snakemake compares too.
    assert [str(case[:2]) for case in new] == [str(case[:2]) for case in now]
    assert [case[2]["new_one"] for case in new] == [3] * len(new)
    assert {case[2]["beside_a_group"] for case in new} == {3, None}
    assert identities(_OTHER_ROWS.format('meaning="other words"')) == now
    changed = identities(_OTHER_ROWS.format('default="bfloat16"'))
    assert all(case[1]["vae_dtype"] == "bfloat16" for case in changed)
    assert not {case[0] for case in changed} & {case[0] for case in now}


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
