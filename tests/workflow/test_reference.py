"""The results that are kept with the project: their report is made by one command, and is the one that is kept."""

import shutil
from pathlib import Path

import pytest

from conftest import ROOT, copy_project
from wanbench.analysis.collect import case_of
from wanbench.cases.yaml_file import read_yaml

KEPT = ROOT / "results/reference"
MACHINES = [folder.name for folder in sorted(KEPT.iterdir())]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_kept_report_is_what_the_kept_traces_give(machine: str, tmp_path: Path) -> None:
    project, folder = copy_project(tmp_path / "project"), f"results/reference/{machine}"
    shutil.copytree(ROOT / folder / "traces", project.folder / folder / "traces")
    shutil.copyfile(ROOT / folder / "grid.yaml", project.folder / folder / "grid.yaml")
    run = project.snakemake(f"{folder}/report.md")
    assert run.code == 0, run.output
    assert run.jobs == {("tabulate_reference", ""), ("report_reference", "")}
    for file in ("report.md", "tables/cases.csv", "tables/stages.csv", "tables/excluded.csv", "tables/findings.csv"):
        made = project.read(f"{folder}/{file}")
        assert made == (ROOT / folder / file).read_text("utf-8"), f"{file} is not that of this code: make it anew"


def test_the_page_of_kept_traces_has_their_pictures(tmp_path: Path) -> None:
    project, folder = copy_project(tmp_path / "project"), "results/reference/h100"
    (project.folder / folder / "traces").mkdir(parents=True)
    for case in ("5B_704p_2_gpus", "5B_704p_warm", "T2V_A14B_720p"):
        shutil.copy(ROOT / folder / f"traces/{case}.json.gz", project.folder / folder / "traces")
    run = project.snakemake(f"{folder}/report.html")
    assert run.code == 0, run.output
    assert len(list((project.folder / folder / "plots").rglob("*.png"))) == 2 * 3 + 3


@pytest.mark.parametrize("machine", MACHINES)
def test_every_kept_case_is_used_and_of_the_grid(machine: str) -> None:
    folder = KEPT / machine
    traced = {case_of(file) for file in (folder / "traces").iterdir()}
    assert traced == set(read_yaml(folder / "grid.yaml")["cases"])
    assert (folder / "tables/excluded.csv").read_text("utf-8") == "case,reason,of_grid\n"


def test_cases_of_the_grid_without_a_kept_trace_are_named(tmp_path: Path) -> None:
    project, folder = copy_project(tmp_path / "project"), Path("results/reference/h100")
    (project.folder / folder / "traces").mkdir(parents=True)
    shutil.copy(ROOT / folder / "traces/5B_704p.json.gz", project.folder / folder / "traces")
    (project.folder / folder / "grid.yaml").write_text(
        "cases: {5B_704p: {model: TI2V-5B}, 5B_longer: {model: TI2V-5B}}"
    )
    run = project.snakemake(str(folder / "report.md"))
    assert run.code == 0, run.output
    _header, excluded = project.read(str(folder / "tables/excluded.csv")).splitlines()
    assert excluded.startswith("5B_longer,")
    assert "there is no trace of it: it was not measured" in excluded
    assert "5B_longer" in project.read(str(folder / "report.md")).split("| Case ")[0].replace("\\", "")


def test_a_faulty_grid_beside_kept_traces_is_one_line(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    shutil.copytree(KEPT / "h200/traces", project.folder / "results/reference/h200/traces")
    (project.folder / "results/reference/h200/grid.yaml").write_text("cases: {a: {modle: TI2V-5B}}\n")
    run = project.snakemake("results/reference/h200/report.md")
    assert run.code != 0
    assert "results/reference/h200/grid.yaml: case 'a': unknown key 'modle'" in run.output


def test_a_machine_without_traces_is_one_line(tmp_path: Path) -> None:
    run = copy_project(tmp_path / "project").snakemake("results/reference/none/report.md")
    assert run.code != 0
    assert "results/reference/none/traces: no traces; allowed: a folder with *.json.gz files" in run.output
