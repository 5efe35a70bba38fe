"""What counts, of a case and of the code that measures it, and that nobody pays twice for one measurement untold.

That the files which a digest covers are all that a run imports, test_ranks.py shows.
"""

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
from wanbench.util import code_closure
from wanbench.util.code_closure import NOT_MEASURED, closure, code_digest

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


SCRIPTS = ROOT / "workflow/scripts"
MEASURE = SCRIPTS / "measure_case.py"
ROW = 'ROWS = (Row("time_s", label="Time", unit="s"),)\n'


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script, the modules of its package that it runs, data that they name, and one that nobody imports."""
    files = {
        "workflow/scripts/run.py": "from wanbench.measure.supervisor import start\nstart()\n",
        "workflow/scripts/wanbench/__init__.py": '"""The package."""\n',
        "workflow/scripts/wanbench/measure/supervisor.py": (
            '"""Starts."""\n\ndef start(command=("python", "-m", "wanbench.measure.rank")):\n'
            '    """Do."""\n    import wanbench.registry.metrics as metrics  # late\n'
            '    return f"{command!r:>{9}} {metrics}"\n'
        ),
        "workflow/scripts/wanbench/measure/rank.py": 'FOLDER, SCHEMA = "shapes", "trace.schema.json"\n',
        "workflow/scripts/wanbench/measure/shapes/tiny/a.json": "{}",
        "workflow/schemas/trace.schema.json": "{}",
        "workflow/schemas/another.schema.json": "{}",
        "workflow/scripts/wanbench/measure/alone.py": "",
        "workflow/scripts/wanbench/registry/metrics.py": ROW,
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return tmp_path / "workflow/scripts/run.py"


def digest(script: Path, *exempt: str) -> str:
    # A process reads a file once.
    for cached in (code_closure._named_by, code_closure._files_of_module, code_closure._code):
        cached.cache_clear()
    return code_digest(script, exempt)


def test_the_closure_follows_imports_modules_that_are_started_and_data(script: Path) -> None:
    assert {file.relative_to(script.parents[1]).as_posix() for file in closure(script)} == {
        "scripts/run.py",
        "scripts/wanbench/__init__.py",
        "scripts/wanbench/measure/supervisor.py",
        "scripts/wanbench/measure/rank.py",
        "scripts/wanbench/measure/shapes/tiny/a.json",
        "schemas/trace.schema.json",
        "scripts/wanbench/registry/metrics.py",
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "counts"),
    [
        ("measure/rank.py", "FOLDER", "# why\n\n\nFOLDER", False),
        ("measure/supervisor.py", '"""Do."""', '"""Do it."""', False),
        ("measure/supervisor.py", '"""Starts."""\n', "", False),
        ("measure/supervisor.py", '("python", "-m", ', "(\n        'python',\n        ('-m'),\n        ", False),
        ("measure/supervisor.py", "python", "python3", True),
        ("measure/supervisor.py", ">{9}", "<{9}", True),
        ("measure/shapes/tiny/a.json", "{}", "[]", True),
        ("registry/metrics.py", '"Time"', '"Time (s)"', False),
        ("registry/metrics.py", 'label="Time"', 'label="Time", meaning="wall clock", empty="n/a"', False),
        ("registry/metrics.py", 'unit="s"', 'unit="ms"', True),
    ],
    ids=["comment", "docstring", "no docstring", "layout", "string", "f-string", "data", "label", "meaning", "unit"],
)
def test_what_counts_for_a_digest_of_measuring(script: Path, name: str, old: str, new: str, counts: bool) -> None:
    before, before_shown = digest(script, "wanbench/none.py"), digest(script)
    file = script.parent / "wanbench" / name
    assert old in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    assert (digest(script, "wanbench/none.py") != before) == counts
    # A label counts for what shows it.
    assert (digest(script) != before_shown) == (counts or "Time" in old)


def test_a_renamed_file_counts_and_one_that_is_exempt_does_not(script: Path) -> None:
    whole, without = digest(script), digest(script, "wanbench/measure/rank.py")
    shapes = script.parent / "wanbench/measure/shapes"
    (shapes / "tiny/a.json").rename(shapes / "tiny/b.json")
    assert digest(script) != whole
    # What only an exempt file names is not followed either.
    assert digest(script, "wanbench/measure/rank.py") == without


def test_exempt_from_the_digest_of_measuring_is_what_is_there() -> None:
    for name in NOT_MEASURED:
        assert (SCRIPTS / name).exists(), name
    covered = [
        file.relative_to(SCRIPTS).as_posix() for file in closure(MEASURE, NOT_MEASURED) if SCRIPTS in file.parents
    ]
    assert not [name for name in covered if name.startswith(NOT_MEASURED)]
    assert {name.split("/")[1] for name in covered if "/" in name} <= {
        *("__init__.py", "util", "registry", "models", "cases", "trace", "telemetry", "measure")
    }


def pythons() -> dict[str, str]:
    """The Pythons here that start, by version: the one that runs this, and others if there are any."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for version in ("3.11", "3.12", "3.13"):
        installed = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
        for python in filter(None, installed):
            # One of a version manager may be a stand-in that starts nothing.
            if version not in found and not subprocess.run([python, "-c", ""], capture_output=True).returncode:
                found[version] = str(python)
    return found


def test_the_digest_is_the_same_under_every_python() -> None:
    code = (
        "from pathlib import Path; from wanbench.util.code_closure import *\n"
        "scripts = sorted(Path.cwd().glob('*.py'))\n"
        "print(*(code_digest(s, e) for s in scripts for e in ((), NOT_MEASURED)))"
    )
    digests = {
        version: subprocess.run([python, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout
        for version, python in pythons().items()
    }
    here = [code_digest(script, exempt) for script in sorted(SCRIPTS.glob("*.py")) for exempt in ((), NOT_MEASURED)]
    assert digests == dict.fromkeys(digests, " ".join(here) + "\n")
