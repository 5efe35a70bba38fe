"""What a run says before it measures anything, and how it ends where it made no whole report."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import SMALL, SMALL_DEFAULTS, Project, simulated_gpus

GPU_MISSING = "Warning: full scale needs a GPU, and NVML knows of none that may be used here. Cases: big, real"


@pytest.fixture
def full_scale(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    large = {"big": {"model": "TI2V-5B"}, "real": {"model": "TI2V-5B", "weights": "pretrained"}}
    project.write_grid({"cases": large | {"small": SMALL | SMALL_DEFAULTS}})
    return project


def test_full_scale_without_a_gpu_is_said_in_one_line_before_anything_runs(full_scale: Project) -> None:
    run = full_scale.snakemake("--dry-run")
    assert run.code == 0
    assert run.output.splitlines().count(GPU_MISSING) == 1
    assert "full scale needs" not in full_scale.snakemake("--dry-run", environment=simulated_gpus("GPU-0")).output
    traces = full_scale.folder / "results/traces"
    traces.mkdir(parents=True)
    for name in ("big", "real"):
        (traces / f"{name}.json").write_text("{}")
    assert "full scale needs" not in full_scale.snakemake("--dry-run").output


def test_where_nvml_cannot_be_asked_nothing_is_said(full_scale: Project, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'pynvml' else found(name, package)\n"
    )
    run = full_scale.snakemake("--dry-run", environment={"PYTHONPATH": os.fspath(tmp_path)})
    assert run.code == 0
    assert "Warning" not in run.output


def test_a_trace_of_another_grid_is_named_before_anything_runs(new_project: Callable[[], Project]) -> None:
    project = new_project()
    trace = project.folder / "results/traces/other.json"
    trace.parent.mkdir(parents=True)
    trace.write_text("{}")
    run = project.snakemake("--dry-run")
    assert run.code == 0
    assert run.output.count("Warning: config/config.yaml has no cases for these traces") == 1
    assert "mv -n results/traces/other.json results/aside/traces" in run.output


def test_one_case_that_fails_ends_the_command_with_an_error_that_names_it(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"slow": SMALL | {"timeout_s": 1}, "good": SMALL}})
    traces = ["results/traces/slow.json", "results/traces/good.json"]
    run = project.snakemake(*traces)
    assert run.code == 1
    assert "slow: timeout in Process_Startup: ended after timeout_s = 1 s (logs/measure/slow.log)" in run.output
    assert "good: " not in run.output.split("All that was asked for is made, but:")[1]
    again = project.snakemake(*traces)
    assert again.jobs == {("measure", "slow")}
    assert again.code == 1
    assert project.snakemake("results/traces/good.json").code == 0


def test_the_reason_to_make_the_tables_again_is_short(new_project: Callable[[], Project]) -> None:
    project = new_project()
    cases = {f"case_{number}": SMALL | {"seed": number} for number in range(2)}
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": cases})
    assert project.snakemake("results/tables/cases.parquet").code == 0
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"case_0": SMALL | {"seed": 0}}})
    plan = project.snakemake("--dry-run", "results/tables/cases.parquet")
    assert ("tabulate", "") in plan.jobs
    (reason,) = (line for line in plan.output.splitlines() if "reason: " in line)
    assert "case_sha256" not in reason
