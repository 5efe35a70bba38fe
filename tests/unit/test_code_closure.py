"""Which files a digest covers, and what in them counts. That they are all that a run imports, test_ranks.py shows."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from wanbench.util import code_closure
from wanbench.util.code_closure import NOT_MEASURED, closure, code_digest

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
    for cached in (code_closure._named_by, code_closure._names_in, code_closure._files_of_module, code_closure._code):
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
