"""What the Makefile does beside calling other tools."""

import shutil
import subprocess
import sys
from pathlib import Path

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
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left == {"Makefile", *kept}


def test_every_target_is_explained_at_the_top() -> None:
    lines = (ROOT / "Makefile").read_text("utf-8").splitlines()
    (targets,) = (line.removeprefix(".PHONY: ").split() for line in lines if line.startswith(".PHONY: "))
    explained = [line.split()[2] for line in lines if line.startswith("# make ")]
    assert explained == targets


def test_a_copy_of_results_beside_them_is_no_part_of_the_project() -> None:
    asked = ["git", "check-ignore", "-q", "results_before/traces/a.json"]
    assert subprocess.run(asked, cwd=ROOT).returncode == 0


def test_a_python_that_is_too_old_ends_with_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    old = tmp_path / "old"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"\n')
    old.chmod(0o755)
    done = subprocess.run(["make", "run", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed; name one: make run PYTHON=python3.12\n" in done.stderr
