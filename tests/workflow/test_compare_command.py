"""A run beside a baseline: the same is the same, and what got slower ends the command and is named."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import DefaultGrid, Project
from traces import change

COMPARISON = {("compare", "")}
A, B = "5B_64p", "5B_64p_offload_model"


@pytest.fixture(scope="module")
def compared(default_grid: DefaultGrid, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The default grid, with a copy of its traces beside them, as of another run."""
    project = default_grid.copy(tmp_path_factory.mktemp("compare") / "project")
    # Other programs on this machine may make the check doubt a run of a few seconds, and leave it without verdicts.
    file = project.folder / "config/thresholds.yaml"
    doubted = re.sub(r"(min_\w+_coverage_pct): 99", r"\1: 0", file.read_text("utf-8"))
    doubted = doubted.replace("max_sample_gap_s: 1", "max_sample_gap_s: 600")
    doubted = re.sub(r"step_change_pct: \d+", "step_change_pct: 100000", doubted)
    file.write_text(doubted.replace("busy_machine_pct: 10", "busy_machine_pct: 100"), "utf-8")
    shutil.copytree(project.folder / "results/traces", project.folder / "old")
    for trace in (project.folder / "old").glob("*.json"):
        change(trace, earlier)
    # Left over from another grid; the comparison is of the cases of this one.
    shutil.copy(project.folder / f"old/{B}.json", project.folder / "results/traces/left_over.json")
    return project


@pytest.fixture
def project(compared: Project, tmp_path: Path) -> Project:
    """A copy for one test."""
    return Project(shutil.copytree(compared.folder, tmp_path / "project", symlinks=True))


def earlier(trace: dict[str, Any]) -> None:
    """The same figures as of another run."""
    trace["started_at"] = "2026-01-01T10:00:00+00:00"


def hundredfold(trace: dict[str, Any]) -> None:
    """Decoding as it would be if this run were a hundred times slower."""
    for event in trace["traceEvents"]:
        if event.get("name") == "VAE_Decoding" and event.get("cat") == "stage":
            event["args"]["time_s"] *= 100


def test_what_got_slower_ends_the_command_and_is_named_and_a_copy_of_the_results_is_the_same(project: Project) -> None:
    change(project.folder / f"results/traces/{B}.json", hundredfold)
    run = project.snakemake("compare", "--config", "baseline=old")
    assert run.code == 1
    assert run.jobs == COMPARISON | {("tabulate", ""), ("report", "")}
    assert f"{B}: VAE decoding slower (100.00 times)" in run.output
    assert re.search(r"^Verdicts of measures: .*\d slower", run.output, re.M), run.output
    assert f"{A}: " not in run.output.split("Worse than the baseline:")[1].split("\n\n")[0]
    assert "VAE decoding slower" in project.read("results/comparison.md")
    # The same slowness on both sides is none.
    change(project.folder / f"old/{B}.json", hundredfold)
    run = project.snakemake("compare", "--config", "baseline=old")
    assert run.code == 0, run.output
    assert run.jobs == COMPARISON
    assert "\nThe comparison: results/comparison.md, results/comparison.json\n" in run.output
    assert "\nThe report: results/report.md\nCases: 6 of both sides\nVerdicts of measures: " in run.output
    comparison = json.loads(project.read("results/comparison.json"))
    assert set(comparison["verdicts"]) == {"same", "not judged", "n/a"}
    assert len(comparison["cases"]) == 6
    assert comparison["only_old"] == comparison["only_new"] == []
    assert project.snakemake("compare", "--dry-run", "--config", "baseline=old").jobs == {("compare", "")}


def test_excluded_traces_end_the_command_and_a_case_of_no_grid_does_not(project: Project) -> None:
    (project.folder / "old/broken.json").write_text("{")
    other, trace = project.folder / "old/not_in_the_grid.json", project.folder / f"results/traces/{B}.json"
    (project.folder / f"old/{A}.json").rename(other)
    change(other, lambda content: content["case"].update(name="not_in_the_grid", seed=8))
    trace.write_text(trace.read_text()[:1000])
    run = project.snakemake("compare", "--config", "baseline=old")
    assert run.code == 1
    assert "The comparison results/comparison.md is complete, but:\nCould not be compared:\n" in run.output
    assert "old/broken.json: not valid JSON" in run.output
    assert "Worse than the baseline" not in run.output
    assert f"this run: results/traces/{B}.json: not valid JSON" in project.read("logs/results/compare.log")
    excluded = project.read("results/comparison.md").replace("\\", "").split("## Excluded, and why\n")[1]
    assert f"- this run: results/traces/{B}" in excluded
    comparison = json.loads(project.read("results/comparison.json"))
    assert (comparison["only_old"], comparison["only_new"]) == ([B, "not_in_the_grid"], [A])
