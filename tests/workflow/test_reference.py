"""The results that are kept with the project: their report is made by one command, and is the one that is kept."""

import shutil
from pathlib import Path

import pytest

from conftest import ROOT, Project, copy_project

KEPT = ROOT / "results/reference"
MACHINES = [folder.name for folder in sorted(KEPT.iterdir())]
TABLES = ("cases", "stages", "excluded", "findings", "settings")
# What was measured, and what was found out where it was.
MEASURED = ("traces", "kernels", "grid.yaml", "fidelity.csv")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return copy_project(tmp_path / "project")


@pytest.mark.parametrize("machine", MACHINES)
def test_the_kept_report_is_what_the_kept_traces_give(project: Project, machine: str) -> None:
    folder = Path("results/reference", machine)
    for name in MEASURED:
        kept, copy = ROOT / folder / name, project.folder / folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if kept.exists():
            (shutil.copytree if kept.is_dir() else shutil.copyfile)(kept, copy)
    run = project.snakemake(f"{folder}/report.md")
    assert run.code == 0, run.output
    assert run.jobs == {("tabulate", ""), ("report", "")}
    profiled = ["tables/kernels.csv", "tables/longest_kernels.csv"] if (ROOT / folder / "kernels").exists() else []
    for file in ("report.md", *(f"tables/{table}.csv" for table in TABLES), *profiled):
        kept = (ROOT / folder / file).read_text("utf-8")
        assert project.read(f"{folder}/{file}") == kept, f"{file} is not that of this code: make it anew"
    # Every kept case is used, and all cases of its grid are kept.
    assert project.read(f"{folder}/tables/excluded.csv") == "case,reason,of_grid\n"


def test_the_kept_report_is_short_enough_to_read() -> None:
    cases = len(list((KEPT / "h200/traces").iterdir()))
    assert (KEPT / "h200/report.md").stat().st_size <= 250_000 / 56 * cases


def test_of_a_part_of_the_traces_the_page_has_their_pictures_and_the_others_are_named(project: Project) -> None:
    folder, cases = Path("results/reference/h100"), ("5B_704p_2_gpus", "5B_704p_warm", "T2V_A14B_720p")
    (project.folder / folder / "traces").mkdir(parents=True)
    for case in cases:
        shutil.copy(ROOT / folder / f"traces/{case}.json.gz", project.folder / folder / "traces")
    grid = dict.fromkeys((*cases, "5B_longer"), "{model: TI2V-5B}")
    lines = "".join(f"  {case}: {settings}\n" for case, settings in grid.items())
    (project.folder / folder / "grid.yaml").write_text(f"cases:\n{lines}")
    run = project.snakemake(f"{folder}/report.md", f"{folder}/report.html")
    assert run.code == 0, run.output
    assert len(list((project.folder / folder / "plots").rglob("*.svg"))) == 2 * 3 + 3
    _header, excluded = project.read(f"{folder}/tables/excluded.csv").splitlines()
    assert excluded.startswith("5B_longer,")
    assert "there is no trace of it: it was not measured" in excluded
    assert "5B_longer" in project.read(f"{folder}/report.md").split("| Case ")[0].replace("\\", "")


def test_a_faulty_grid_beside_kept_traces_is_one_line(project: Project) -> None:
    folder = project.folder / "results/reference/h100"
    (folder / "traces").mkdir(parents=True)
    shutil.copy(KEPT / "h100/traces/5B_704p.json.gz", folder / "traces")
    (folder / "grid.yaml").write_text("cases: {a: {modle: TI2V-5B}}\n")
    run = project.snakemake("results/reference/h100/report.md", "--retries", "0")
    assert run.code != 0
    assert "results/reference/h100/grid.yaml: case 'a': unknown key 'modle'" in run.output
