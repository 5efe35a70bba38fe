"""What a run says before it measures anything, and how it ends where it made no whole report."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT, SMALL, SMALL_DEFAULTS, Project, simulated_work
from wanbench.trace.reader import read_trace

GPU_MISSING = "2 cases need a GPU, and NVML knows of none that may be used here: big, real. "


@pytest.fixture
def full_scale(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    large = {"big": {"model": "TI2V-5B"}, "real": {"model": "TI2V-5B", "weights": "pretrained"}}
    project.write_grid({"cases": large | {"small": SMALL | SMALL_DEFAULTS}})
    return project


def test_full_scale_without_a_gpu_ends_before_any_job_and_leaves_the_report_alone(full_scale: Project) -> None:
    report = full_scale.folder / "results/report.md"
    report.parent.mkdir()
    report.write_text("good")
    run = full_scale.snakemake()
    assert run.code == 1
    assert run.jobs == set()
    assert f"\nNothing was started: {GPU_MISSING}" in run.output
    assert "Traceback" not in run.output
    assert report.read_text() == "good"
    assert not (full_scale.folder / "results/traces").exists()
    small = full_scale.snakemake("results/traces/small.json", environment=simulated_work())
    assert small.jobs == {("measure", "small")}


def test_what_measures_nothing_needs_no_gpu(full_scale: Project) -> None:
    traces = full_scale.folder / "results/traces"
    traces.mkdir(parents=True)
    for name in ("big", "real", "small"):
        (traces / f"{name}.json").write_text("{}")
    runs = [
        full_scale.snakemake(*target) for target in (["results/tables/cases.parquet"], ["--touch", "-R", "measure"])
    ]
    assert [run.code for run in runs] == [0, 0]
    assert "tabulate" in {rule for rule, _ in runs[0].jobs}


def test_on_a_cluster_the_nodes_need_the_gpus_and_what_failed_there_is_not_tried_again_here(
    full_scale: Project,
) -> None:
    """A job runs Snakemake again, which must not be kept from writing the row of its case."""
    target = "results/traces/big.json"
    cluster = ("--executor", "simulated", "--jobs", "1", "--seconds-between-status-checks", "1", target)
    environment = {"PYTHONPATH": os.fspath(ROOT / "tests/simulated_cluster")}
    run = full_scale.snakemake(*cluster, environment=environment)
    assert "Nothing was started" not in run.output
    trace = read_trace(full_scale.folder / target)
    assert trace.error["message"] == "scale: full needs a GPU, and torch sees none here"
    assert (trace.error["type"], [stage.name for stage in trace.stages]) == ("SettingError", ["Process_Startup"])
    before = full_scale.read(target)
    here = full_scale.snakemake(target)
    assert here.code == 1
    assert "Nothing was started: 1 case needs a GPU" in here.output
    assert full_scale.read(target) == before


def test_where_nvml_cannot_be_asked_nothing_is_said(full_scale: Project, tmp_path: Path) -> None:
    no_nvml = (
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'pynvml' else found(name, package)\n"
    )
    work = (ROOT / "tests/simulated_work/sitecustomize.py").read_text("utf-8")
    (tmp_path / "sitecustomize.py").write_text(no_nvml + work)
    environment = simulated_work() | {"PYTHONPATH": os.fspath(tmp_path)}
    run = full_scale.snakemake("results/traces/big.json", environment=environment)
    assert "Nothing was started" not in run.output
    assert run.jobs == {("measure", "big")}
