"""The main job: `snakemake --cores 1` on the default grid, and what a user finds afterwards."""

import json
import re
import zipfile
from statistics import median

import imageio.v3 as iio
import pytest

from conftest import DefaultGrid, Project
from wanbench.trace.reader import Trace, read_trace


@pytest.fixture(scope="module")
def traces(default_grid: DefaultGrid) -> list[Trace]:
    return [read_trace(file) for file in sorted((default_grid.project.folder / "results/traces").glob("*.json"))]


def test_every_case_is_measured_and_leaves_its_video(default_grid: DefaultGrid, traces: list[Trace]) -> None:
    assert len(traces) == 6
    assert {trace.status for trace in traces} == {"ok"}
    for trace in traces:
        # Of ranks alone.
        assert "Process_Group" not in {detail.name for detail in trace.details}
        assert (trace.applied["size"], trace.applied["offload"]) == (trace.case["size"], trace.case["offload"])
        frames = iio.imread(default_grid.project.folder / f"results/videos/{trace.case['name']}.mp4")
        width_px, height_px = map(int, trace.case["size"].split("*"))
        assert frames.shape == (trace.case["frames"], height_px, width_px, 3)
    # Of a single case, on a busy machine, a pause between two stages can take more than a hundredth.
    assert median(trace.quality["stage_coverage_pct"] for trace in traces) >= 99


def test_every_trace_is_a_chrome_trace_with_one_track_a_kind(default_grid: DefaultGrid) -> None:
    for file in (default_grid.project.folder / "results/traces").glob("*.json"):
        events = json.loads(file.read_text("utf-8"))["traceEvents"]
        assert {event["ph"] for event in events} == {"M", "X", "C"}
        tracks = {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}
        for kind, track in (("stage", "Stages"), ("detail", "Details"), ("transfer", "Weight transfers")):
            assert {event["tid"] for event in events if event.get("cat") == kind} <= {tracks[track]}
        assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")
        assert {event["name"] for event in events if event["ph"] == "C"} >= {"CPU (%)", "System memory (GB)"}


def test_slices_of_a_track_nest(traces: list[Trace]) -> None:
    """A viewer drops a slice that begins in another and ends after it."""
    for trace in traces:
        open_until: list[float] = []
        for stage in sorted(trace.stages, key=lambda stage: (stage.start_s, -stage.extent_s)):
            while open_until and open_until[-1] <= stage.start_s + 1e-6:
                open_until.pop()
            assert not open_until or stage.start_s + stage.extent_s <= open_until[-1] + 1e-6, stage
            open_until.append(stage.start_s + stage.extent_s)


def test_every_case_and_the_grid_have_their_pictures(default_grid: DefaultGrid, traces: list[Trace]) -> None:
    plots = default_grid.project.folder / "results/plots"
    for folder, names in (
        (plots, ["stage_times", "time_memory", "energy"]),
        *((plots / "cases" / trace.case["name"], ["timeline", "steps"]) for trace in traces),
    ):
        assert {file.stem for file in folder.glob("*.svg")} == set(names)


def test_the_report_says_first_that_everything_works(default_grid: DefaultGrid, traces: list[Trace]) -> None:
    report = default_grid.project.read("results/report.md")
    assert len(report.encode()) <= 60_000
    head = report.split("## Summary")[0]
    assert "6 cases ok" in head
    # On a busy machine a case can fail a check of its samples or its steps.
    all_passed = not any(trace.quality["failed_checks"] for trace in traces)
    assert ("**Everything works.** 6 cases ok" in head) == all_passed
    (columns, *_) = re.findall(r"^\| Case .*", report, re.M)
    assert [name.strip() for name in columns.split("|")[9:11]] == ["Status", "Check"]
    assert re.search(r"^6 cases ok.*\nThe report: results/report.md, results/report.html$", default_grid.output, re.M)


def test_progress_is_on_the_terminal_and_in_the_log_of_the_case(default_grid: DefaultGrid) -> None:
    log = default_grid.project.read("logs/measure/5B_64p.log")
    for line in ("VAE_Decoding: ", "Step_0 (1/5): ", "Step_4 (5/5): "):
        assert f"[5B_64p] {line}" in default_grid.output
        assert f"[5B_64p] {line}" in log
    assert "of denoising left" in log


def test_nothing_is_left_at_work_and_a_second_run_does_nothing(measured: Project) -> None:
    results = measured.folder / "results"
    assert {file.name for file in (results / "attempts").glob("*/*")} == {"run", "trace.json"}
    assert {file.name for file in results.rglob(".*")} == {".snakemake_timestamp"}
    before = (results / "report.md").stat().st_mtime_ns
    run = measured.snakemake()
    assert run.code == 0
    assert "Nothing to be done" in run.output
    assert (results / "report.md").stat().st_mtime_ns == before


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
