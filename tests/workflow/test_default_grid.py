"""The main job: `snakemake --cores 1` on the default grid, and what a user finds afterwards."""

import json
import re
from dataclasses import dataclass
from statistics import median

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    project = copy_project(tmp_path_factory.mktemp("default") / "project")
    run = project.snakemake()
    assert run.code == 0, run.output
    files = sorted((project.folder / "results/traces").glob("*.json"))
    return Finished(project, run, [read_trace(file) for file in files])


def test_every_case_is_measured_with_its_settings_and_leaves_its_video(finished: Finished) -> None:
    assert len(finished.traces) == 6
    assert {trace.status for trace in finished.traces} == {"ok"}
    for trace in finished.traces:
        assert (trace.applied["size"], trace.applied["offload"]) == (trace.case["size"], trace.case["offload"])
        frames = iio.imread(finished.project.folder / f"results/videos/{trace.case['name']}.mp4")
        width_px, height_px = map(int, trace.case["size"].split("*"))
        assert frames.shape == (trace.case["frames"], height_px, width_px, 3)
    # Of a single case, on a busy machine, a pause between two stages can take more than a hundredth.
    assert median(trace.quality["stage_coverage_pct"] for trace in finished.traces) >= 99


def test_every_trace_is_a_chrome_trace_with_one_track_a_kind(finished: Finished) -> None:
    for file in (finished.project.folder / "results/traces").glob("*.json"):
        events = json.loads(file.read_text("utf-8"))["traceEvents"]
        assert {event["ph"] for event in events} == {"M", "X", "C"}
        tracks = {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}
        for kind, track in (("stage", "Stages"), ("detail", "Details"), ("transfer", "Weight transfers")):
            assert {event["tid"] for event in events if event.get("cat") == kind} <= {tracks[track]}
        assert all(event["dur"] >= 0 for event in events if event["ph"] == "X")
        assert {event["name"] for event in events if event["ph"] == "C"} >= {"CPU (%)", "System memory (GB)"}


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
    trace = next(trace for trace in finished.traces if trace.case["name"] == "T2V_A14B_48p")
    experts = [stage.measures["expert"] for stage in trace.stages if stage.name.endswith("_Inference")]
    assert experts == sorted(experts)
    assert set(experts) == {"high_noise", "low_noise"}


def test_tables_hold_every_case_and_stage(finished: Finished) -> None:
    tables = finished.project.folder / "results/tables"
    cases, stages = pd.read_parquet(tables / "cases.parquet"), pd.read_parquet(tables / "stages.parquet")
    assert sorted(cases["case"]) == [trace.case["name"] for trace in finished.traces]
    assert len(stages) == sum(len(trace.stages) for trace in finished.traces)
    assert list(pd.read_csv(tables / "cases.csv").columns) == list(cases.columns)
    assert cases["gpu_mem_allocated_bytes"].isna().all()
    assert (stages["time_s"] >= 0).all()


def test_the_figures_of_the_report_hold_together(finished: Finished) -> None:
    for part in finished.project.read("results/report.md").split("### Stage Breakdown\n")[1:]:
        rows = re.findall(r"^\| (\w+) +\| +([\d.]+) \|", part.split("###")[0], re.M)
        times = {name: float(time) for name, time in rows}
        leaves = [time for name, time in times.items() if name not in ("Total_Execution", "Process_Startup")]
        assert sum(leaves) == pytest.approx(times["Total_Execution"], abs=0.005 * (len(leaves) + 1))
        assert min(time for name, time in times.items() if name.endswith("_Inference")) > 0


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
    log = finished.project.read("logs/measure/5B_64p.log")
    for line in ("VAE_Decoding: ", "Step_0 (1/5): ", "Step_4 (5/5): "):
        assert f"[5B_64p] {line}" in finished.run.output
        assert f"[5B_64p] {line}" in log
    assert "of denoising left" in log


def test_nothing_is_left_at_work_and_a_second_run_does_nothing(finished: Finished) -> None:
    results = finished.project.folder / "results"
    assert {file.name for file in (results / "attempts").glob("*/*")} == {"run", "trace.json"}
    assert not list(results.rglob(".*"))
    before = (results / "report.md").stat().st_mtime_ns
    run = finished.project.snakemake()
    assert run.code == 0
    assert "Nothing to be done" in run.output
    assert (results / "report.md").stat().st_mtime_ns == before
