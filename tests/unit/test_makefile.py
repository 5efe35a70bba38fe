"""What the Makefile does beside calling other tools."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import can_start
import pytest

from conftest import ROOT


def test_clean_deletes_what_runs_made_and_no_trace_that_is_kept(tmp_path: Path) -> None:
    kept = ["reference/h200/traces/a.json.gz", "reference/h200/report.md", "reference/h200/tables/cases.csv"]
    kept = [f"results/{path}" for path in [*kept, "aside/traces/b.json"]]
    derived = ["traces/a.json", "report.md", "reference/h200/report.html", "reference/h200/plots/a/steps.svg"]
    made = ["logs/a.log", ".snakemake/log", ".venv/x", *(f"results/{path}" for path in derived)]
    for path in [*kept, *made]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    shutil.copy(ROOT / "Makefile", tmp_path)
    make(tmp_path, "clean")
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left == {"Makefile", *kept}


def test_a_python_that_is_too_old_ends_with_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    old = tmp_path / "old"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"\n')
    old.chmod(0o755)
    done = make(tmp_path, "run", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed; name one: make run PYTHON=python3.12\n" in done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose .venv is this Python's, and whose Snakemake only says how it was called."""
    folder = tmp_path / "project"
    (folder / "tools").mkdir(parents=True)
    (folder / "logs/results").mkdir(parents=True)
    (folder / "logs/results/outcome.log").write_text("done\n")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "tools/can_start.py", folder / "tools")
    package = folder / "workflow/scripts/wanbench"
    shutil.copytree(ROOT / "workflow/scripts/wanbench/util", package / "util")
    (folder / "requirements.txt").touch()
    venv.create(folder / ".venv", symlinks=True)
    (folder / ".venv/run.installed").touch()
    (folder / ".venv/lib").mkdir(exist_ok=True)
    (site,) = folder.glob(".venv/lib/python*/site-packages")
    (site / "snakemake.py").write_text("import sys\nprint('snakemake', *sys.argv[1:])\n")
    return folder


def make(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, env=environment)


def test_a_checkout_that_was_moved_runs_all_the_same(project: Path) -> None:
    command = project / ".venv/bin/snakemake"
    command.write_text("#!/gone/.venv/bin/python\nimport snakemake\n")
    command.chmod(0o755)
    assert "\nsnakemake --cores 1\n" in make(project, "run").stdout
    moved = project.rename(project.with_name("moved"))
    done = subprocess.run([moved / ".venv/bin/snakemake", "x"], capture_output=True, text=True, env={})
    assert done.stdout == "snakemake x\n"
    assert make(moved, "run").returncode == 0


@pytest.mark.parametrize(("python", "is_made"), [("/gone/python3", True), (sys.executable, False)])
def test_a_venv_whose_python_has_gone_is_made_anew(project: Path, python: str, is_made: bool) -> None:
    (project / ".venv/bin/python").unlink()
    (project / ".venv/bin/python").symlink_to(python)
    assert ("-m venv --clear .venv" in make(project, "--dry-run", "run").stdout) is is_made


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"XDG_CACHE_HOME": __file__}, "cannot be written to: set XDG_CACHE_HOME"),
        ({"XDG_CACHE_HOME": "", "HOME": __file__}, "/.cache cannot be written to: set XDG_CACHE_HOME"),
    ],
)
def test_what_snakemake_lacks_is_said_before_it_starts(project: Path, variables: dict[str, str], part: str) -> None:
    done = make(project, "run", **variables)
    assert done.returncode != 0
    assert part in done.stderr
    assert "snakemake --cores" not in done.stdout


def test_a_user_without_a_name_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(can_start.getpass, "getuser", no_name)
    (line,) = [line for line in can_start.problems() if "has no name" in line]
    assert "set USER" in line


def test_settings_of_another_pip_and_python_are_not_used(project: Path) -> None:
    (project / "requirements.txt").touch()
    os.utime(project / "requirements.txt", (2e9, 2e9))
    names = "('PIP_', 'PYTHONPATH', 'PYTHONWARNINGS')"
    pip = next(project.glob(".venv/lib/python*/site-packages")) / "pip.py"
    pip.write_text(f"import os\nprint(sorted(item for item in os.environ.items() if item[0].startswith({names})))\n")
    foreign = {"PIP_TARGET": "/x", "PIP_USER": "1", "PIP_INDEX_URL": "https://example.org", "PYTHONPATH": "/y"}
    # Snakemake's own warnings would be its end.
    foreign |= {"PYTHONWARNINGS": "error"}
    # In the place of the Python that makes .venv, since nothing is to be made here.
    said = make(project, "run", "PYTHON=true", **foreign).stdout
    assert "('PIP_INDEX_URL', 'https://example.org')" in said
    assert "('PIP_USER', '0')" in said
    assert "PIP_TARGET" not in said
    assert "PYTHONPATH" not in said
    assert "PYTHONWARNINGS" not in said
