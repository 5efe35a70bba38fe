"""The main job: `snakemake --cores 1` on the default grid, and what a user finds afterwards."""

import json
import re
import time
from dataclasses import dataclass

import imageio.v3 as iio
import pandas as pd
import pytest

from conftest import Project, Run, copy_project
from wanbench.trace.reader import Trace, read_trace


@dataclass(frozen=True)
class Finished:
    project: Project
    run: Run
    traces: list[Trace]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    project = copy_project(tmp_path_factory.mktemp("default") / "project")
    run = project.snakemake()
    assert run.code == 0, run.output
    files = sorted((project.folder / "results/traces").glob("*.json"))
    return Finished(project, run, [read_trace(file) for file in files])


def test_every_case_is_measured_and_passes_its_checks(finished: Finished) -> None:
    assert len(finished.traces) == 10
    assert {trace.status for trace in finished.traces} == {"ok"}
    for trace in finished.traces:
        assert trace.quality["stage_coverage_pct"] >= 99, trace.file
        assert "unaccounted_time" not in trace.quality["failed_checks"], trace.file
        assert trace.applied["size"] == trace.case["size"]
        assert trace.applied["offload"] == trace.case["offload"]


def test_every_trace_is_a_chrome_trace_with_one_track_a_kind(finished: Finished) -> None:
    for file in (finished.project.folder / "results/traces").glob("*.json"):
        events = json.loads(file.read_text("utf-8"))["traceEvents"]
        assert {event["ph"] for event in events} == {"M", "X", "C"}
        tracks = {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}
        for kind, track in (("stage", "Stages"), ("detail", "Details"), ("transfer", "Weight transfers")):
            assert {event["tid"] for event in events if event.get("cat") == kind} <= {tracks[track]}
        slices = [event for event in events if event["ph"] == "X"]
        assert all(event["dur"] >= 0 for event in slices)
        counters = {event["name"] for event in events if event["ph"] == "C"}
        assert counters >= {"CPU (%)", "System memory (GB)"}


def test_slices_of_a_track_nest(finished: Finished) -> None:
    """A viewer drops a slice that begins in another and ends after it."""
    for trace in finished.traces:
        open_until: list[float] = []
        for stage in sorted(trace.stages, key=lambda stage: (stage.start_s, -stage.extent_s)):
            while open_until and open_until[-1] <= stage.start_s + 1e-6:
                open_until.pop()
            assert not open_until or stage.start_s + stage.extent_s <= open_until[-1] + 1e-6, (trace.file, stage)
            open_until.append(stage.start_s + stage.extent_s)


def test_both_experts_run_and_the_switch_is_where_the_boundary_says(finished: Finished) -> None:
    trace = next(trace for trace in finished.traces if trace.case["name"] == "04_14B_Efficiency_Mode_192p")
    experts = [stage.measures["expert"] for stage in trace.stages if stage.name.endswith("_Inference")]
    assert experts == sorted(experts)
    assert set(experts) == {"high_noise", "low_noise"}


def test_every_video_has_its_frames(finished: Finished) -> None:
    for trace in finished.traces:
        video = finished.project.folder / "results/videos" / f"{trace.case['name']}.mp4"
        frames = iio.imread(video)
        width_px, height_px = map(int, trace.case["size"].split("*"))
        assert frames.shape == (trace.case["frames"], height_px, width_px, 3)


def test_tables_hold_every_case_and_stage(finished: Finished) -> None:
    tables = finished.project.folder / "results/tables"
    cases, stages = pd.read_parquet(tables / "cases.parquet"), pd.read_parquet(tables / "stages.parquet")
    assert sorted(cases["case"]) == [trace.case["name"] for trace in finished.traces]
    assert len(stages) == sum(len(trace.stages) for trace in finished.traces)
    assert list(pd.read_csv(tables / "cases.csv").columns) == list(cases.columns)
    assert cases["gpu_mem_allocated_bytes"].isna().all()
    assert (stages["time_s"] >= 0).all()


def test_the_figures_of_the_report_hold_together(finished: Finished) -> None:
    text = finished.project.read("results/report.md")
    for part in text.split("### Stage Breakdown\n")[1:]:
        rows = re.findall(r"^\| (\w+) +\| +([\d.]+) \|", part.split("###")[0], re.M)
        times = {name: float(time) for name, time in rows}
        leaves = [time for name, time in times.items() if name not in ("Total_Execution", "Process_Startup")]
        assert sum(leaves) == pytest.approx(times["Total_Execution"], abs=0.005 * (len(leaves) + 1))
        steps = [time for name, time in times.items() if name.endswith("_Inference")]
        assert min(steps) > 0


def test_every_case_and_the_grid_have_their_pictures(finished: Finished) -> None:
    plots = finished.project.folder / "results/plots"
    for case in (trace.case["name"] for trace in finished.traces):
        words = json.loads((plots / case / "pictures.json").read_text("utf-8"))
        assert [(entry["file"], entry["case"]) for entry in words] == [("timeline", case), ("steps", case)]
        assert all("Excluded" not in entry["alt"] for entry in words)
    words = json.loads((plots / "pictures.json").read_text("utf-8"))
    assert [entry["file"] for entry in words] == ["stage_times", "time_memory", "energy"]
    assert len(list(plots.rglob("*.svg"))) == len(list(plots.rglob("*.png"))) == 2 * len(finished.traces) + 3


def test_progress_is_on_the_terminal_and_in_the_log_of_the_case(finished: Finished) -> None:
    log = finished.project.read("logs/measure/03_Max_Quality_192p.log")
    for line in ("VAE_Decoding: ", "Step_0 (1/20): ", "Step_19 (20/20): "):
        assert f"[03_Max_Quality_192p] {line}" in finished.run.output
        assert f"[03_Max_Quality_192p] {line}" in log
    assert "of denoising left" in log


def test_a_second_run_does_nothing_and_is_quick(finished: Finished) -> None:
    report = finished.project.folder / "results/report.md"
    before = report.stat().st_mtime_ns
    start = time.monotonic()
    run = finished.project.snakemake()
    assert run.code == 0
    assert "Nothing to be done" in run.output
    assert report.stat().st_mtime_ns == before
    assert time.monotonic() - start < 10


def test_nothing_is_left_at_work(finished: Finished) -> None:
    left = {file.name for file in (finished.project.folder / "results/attempts").glob("*/*")}
    assert left == {"run", "trace.json"}
    hidden = list((finished.project.folder / "results").rglob(".*"))
    assert hidden == []
