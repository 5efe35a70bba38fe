"""`snakemake --report`: tables, page and videos, with captions and labels."""

import zipfile
from pathlib import Path

from conftest import SMALL, SMALL_DEFAULTS, copy_project


def test_snakemakes_own_report_holds_page_tables_and_videos(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    broken = SMALL | {"timeout_s": 0.1}
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"works": SMALL, "ends_early": broken}})
    run = project.snakemake("--keep-going", "all", "results/gallery")
    assert run.code != 0  # one case fails, as it should
    assert [file.name for file in (project.folder / "results/gallery").glob("*.mp4")] == ["works.mp4"]
    run = project.snakemake("results/gallery", "results/report.html", "--report", "report.zip")
    assert run.code == 0, run.output
    with zipfile.ZipFile(project.folder / "report.zip") as archive:
        names = archive.namelist()
        text = "\n".join(archive.read(name).decode("utf-8", "replace") for name in names if name.endswith(".html"))
        text += "\n".join(archive.read(name).decode("utf-8", "replace") for name in names if name.endswith(".js"))
    for name in (
        "report.html",
        "cases.csv",
        "stages.csv",
        "findings.csv",
        "works.mp4",
        "timeline.svg",
        "stage_times.svg",
    ):
        assert any(entry.endswith(name) for entry in names), name
    for words in (
        "The video of a case",
        "One row for each case",
        "The whole report in one file",
        "Tables",
        "Videos",
        "All cases",
    ):
        assert words in text, words
