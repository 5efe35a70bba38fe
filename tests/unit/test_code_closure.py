"""Which files a digest covers, and what in them counts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from example_cases import tiny_case
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
    """In a process of its own, since a file is read once in each."""
    code = (
        "from pathlib import Path; from wanbench.util.code_closure import code_digest\n"
        f"print(code_digest(Path({str(script)!r}), {exempt!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True).stdout


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
    before = digest(script, "wanbench/none.py")
    file = script.parent / "wanbench" / name
    assert old in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    assert (digest(script, "wanbench/none.py") != before) == counts


def test_a_label_counts_for_what_shows_it(script: Path) -> None:
    before = digest(script)
    file = script.parent / "wanbench/registry/metrics.py"
    file.write_text(ROW.replace('"Time"', '"Duration"'), "utf-8")
    assert digest(script) != before


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


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_digest_is_the_same_under_every_python(version: str) -> None:
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    # One of a version manager may be a stand-in that starts nothing.
    python = next((str(path) for path in found if path and not subprocess.run([path, "-c", ""]).returncode), None)
    if python is None:
        pytest.skip(f"no Python {version} here")
    code = (
        "from pathlib import Path; from wanbench.util.code_closure import *\n"
        "scripts = sorted(Path.cwd().glob('*.py'))\n"
        "print(*(code_digest(s, e) for s in scripts for e in ((), NOT_MEASURED)))"
    )
    done = subprocess.run([python, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True)
    here = [code_digest(script, exempt) for script in sorted(SCRIPTS.glob("*.py")) for exempt in ((), NOT_MEASURED)]
    assert done.stdout.split() == here


def test_the_closure_has_what_a_real_run_imports(tmp_path: Path) -> None:
    """Of the supervisor, of the measured process, of a rank beside it and of the sampler."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, sys, threading, time\n"
        "def write():\n"
        "    modules = [m for n, m in list(sys.modules.items()) if n.startswith('wanbench')]\n"
        "    names = [m.__file__ for m in modules if getattr(m, '__file__', None)]\n"
        "    main = getattr(sys.modules.get('__main__'), '__file__', None)\n"
        f"    with open(os.path.join({str(tmp_path)!r}, f'modules.{{os.getpid()}}'), 'w') as file:\n"
        "        print(*names, *([main] if main else []), sep='\\n', file=file)\n"
        "def watch():\n"
        "    while True:\n"
        "        time.sleep(0.1)\n"
        "        write()\n"
        "atexit.register(write)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
    )
    body = MEASURE.read_text("utf-8")
    # As Snakemake would call it.
    before = (
        "import sys, json, types, os\n"
        f"sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "job = json.loads(open(sys.argv[1]).read())\n"
        "keys = ('params', 'output', 'resources', 'wildcards')\n"
        "named = {key: types.SimpleNamespace(**job.pop(key)) for key in keys}\n"
        "snakemake = types.SimpleNamespace(**job, **named)\n"
        "snakemake.config['snakemake_pid'] = os.getppid()\n"
    )
    (tmp_path / "run.py").write_text(before + body)
    limits = {"limits": _limits(), "software_deployment": "none", "job_ends_in_time": False, "run_id": "run"}
    job = {
        "params": {"case": tiny_case(gpus=2).identity(), "measure_digest": "a", "env_digest": "b"},
        "output": {"trace": "results/traces/tiny.json"},
        "log": ["log"],
        "resources": {"attempt": 1, "runtime": 10},
        "wildcards": {"case": "tiny"},
        "config": limits,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "run.py", "job.json"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "results/traces/tiny.json").read_text("utf-8"))["status"] == "ok"
    processes = [set(file.read_text().split()) for file in tmp_path.glob("modules.*")]
    imported = {Path(name) for names in processes for name in names if name.startswith(str(SCRIPTS))}
    for module in ("supervisor", "measured_process", "rank"):
        assert SCRIPTS / f"wanbench/measure/{module}.py" in imported
    assert SCRIPTS / "wanbench/telemetry/sampler.py" in imported
    exempt = tuple(f"{SCRIPTS}/{name}" for name in NOT_MEASURED)
    uncovered = imported - set(closure(MEASURE, NOT_MEASURED))
    assert not {file for file in uncovered if not str(file).startswith(exempt)}


def _limits() -> dict[str, float]:
    from dataclasses import fields

    from wanbench.cases.yaml_file import read_yaml
    from wanbench.trace.verdict import Limits

    thresholds = read_yaml(ROOT / "config/thresholds.yaml")
    return {field.name: thresholds[field.name] for field in fields(Limits)}
