"""`snakemake --report`: tables, page and pictures, with captions and labels."""

import zipfile

from conftest import Project


def test_snakemakes_own_report_holds_page_tables_and_pictures(measured: Project) -> None:
    run = measured.snakemake("results/report.html", "--report", "report.zip")
    assert run.code == 0, run.output
    with zipfile.ZipFile(measured.folder / "report.zip") as archive:
        names = archive.namelist()
        text = "\n".join(
            archive.read(name).decode("utf-8", "replace") for name in names if name.endswith((".html", ".js"))
        )
    for file in ("report.html", "cases.csv", "stages.csv", "findings.csv", "timeline.svg", "stage_times.svg"):
        assert any(name.endswith(file) for name in names), file
    for words in ("One row for each case", "The whole report in one file", "Tables", "All cases"):
        assert words in text, words
