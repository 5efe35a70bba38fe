"""The results that are kept with the project: their report is made by one command, and is the one that is kept."""

import shutil
from pathlib import Path

from conftest import ROOT, copy_project

KEPT = ROOT / "results/reference"


def test_the_kept_report_is_what_the_kept_traces_give(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    shutil.copytree(KEPT / "h200/traces", project.folder / "results/reference/h200/traces")
    run = project.snakemake("results/reference/h200/report.md")
    assert run.code == 0, run.output
    assert run.jobs == {("tabulate_reference", ""), ("report_reference", "")}
    for file in ("report.md", "tables/cases.csv", "tables/stages.csv", "tables/left_out.csv", "tables/findings.csv"):
        made = project.read(f"results/reference/h200/{file}")
        assert made == (KEPT / "h200" / file).read_text("utf-8"), f"{file} is not that of this code: make it anew"
    drawn = project.snakemake("results/reference/h200/report.html")
    assert drawn.code == 0, drawn.output
    plots = project.folder / "results/reference/h200/plots"
    assert len(list(plots.rglob("*.png"))) == 2 * len(list((KEPT / "h200/traces").iterdir())) + 3


def test_every_kept_case_is_used(tmp_path: Path) -> None:
    left_out = (KEPT / "h200/tables/left_out.csv").read_text("utf-8").splitlines()
    assert left_out == ["case,reason,of_grid"]


def test_a_machine_without_traces_is_one_line(tmp_path: Path) -> None:
    run = copy_project(tmp_path / "project").snakemake("results/reference/none/report.md")
    assert run.code != 0
    assert "results/reference/none/traces: no traces; allowed: a folder with *.json.gz files" in run.output
