"""A run beside a baseline: the same is the same, and what got slower ends the command and is named."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import SMALL, SMALL_DEFAULTS, Project, copy_project
from traces import change

COMPARISON = {("comparison", ""), ("compare", "")}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two small cases, measured once, with a copy of their results beside them."""
    project = copy_project(tmp_path_factory.mktemp("compare") / "project")
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL, "b": SMALL | {"seed": 7}}})
    # Other programs on this machine may make the check doubt a run of a few seconds, and leave it without verdicts.
    file = project.folder / "config/thresholds.yaml"
    doubted = re.sub(r"(min_\w+_coverage_pct): 99", r"\1: 0", file.read_text("utf-8"))
    file.write_text(doubted.replace("busy_machine_pct: 10", "busy_machine_pct: 100"), "utf-8")
    run = project.snakemake("results/tables/cases.parquet")
    assert run.code == 0, run.output
    shutil.copytree(project.folder / "results", project.folder / "old")
    for trace in (project.folder / "old/traces").glob("*.json"):
        change(trace, earlier)
    # Left over from another grid; the comparison is of the cases of this one.
    shutil.copy(project.folder / "old/traces/b.json", project.folder / "results/traces/left_over.json")
    return project


def earlier(trace: dict[str, Any]) -> None:
    """The same figures as of another run."""
    trace["started_at"] = "2026-01-01T10:00:00+00:00"


def hundredfold(trace: dict[str, Any]) -> None:
    """Decoding as it would be if this run were a hundred times slower."""
    for event in trace["traceEvents"]:
        if event.get("name") == "VAE_Decoding" and event.get("cat") == "stage":
            event["args"]["time_s"] *= 100


def test_a_copy_of_the_results_is_the_same(measured: Project) -> None:
    run = measured.snakemake("compare", "--config", "baseline=old")
    assert run.code == 0, run.output
    assert run.jobs >= COMPARISON | {("report", ""), ("page", "")}
    assert "\nThe comparison: results/comparison.md, results/comparison.json\n" in run.output
    assert (
        "\nThe report: results/report.md, results/report.html\nCases: 2 of both sides\nVerdicts of measures: "
        in run.output
    )
    comparison = json.loads(measured.read("results/comparison.json"))
    assert set(comparison["verdicts"]) == {"same", "not judged", "n/a"}
    assert [case["case"] for case in comparison["cases"]] == ["a", "b"]
    assert comparison["only_old"] == comparison["only_new"] == []
    limits = json.loads(measured.read("results/traces/a.json"))["quality"]["limits"]
    assert (limits["min_stage_coverage_pct"], limits["slowed_down_pct"]) == (0, 1)
    again = measured.snakemake("compare", "--dry-run", "--config", "baseline=old")
    assert again.jobs == {("compare", "")}


def test_a_slower_case_ends_the_command_and_is_named_and_other_content_compares_again(measured: Project) -> None:
    measured.snakemake("compare", "--config", "baseline=old")
    results = measured.folder / "results/traces"
    kept = (results / "b.json").read_text()
    change(results / "b.json", hundredfold)
    try:
        run = measured.snakemake("compare", "--config", "baseline=old")
        assert run.code != 0
        assert "b: VAE decoding slower (100.00 times)" in run.output
        assert re.search(r"^Verdicts of measures: .*\d slower", run.output, re.M), run.output
        assert "a: " not in run.output.split("worse than the baseline is:")[1].split("\n\n")[0]
        assert "VAE decoding slower" in measured.read("results/comparison.md")
        assert "faster" not in json.loads(measured.read("results/comparison.json"))["verdicts"]
        # The same slowness in the baseline makes it none.
        change(measured.folder / "old/traces/b.json", hundredfold)
        run = measured.snakemake("compare", "--config", "baseline=old")
        assert run.code == 0, run.output
        assert run.jobs == COMPARISON
    finally:
        for file in (results / "b.json", measured.folder / "old/traces/b.json"):
            file.write_text(kept)


def test_a_trace_that_was_excluded_ends_the_command_and_a_case_that_the_grid_does_not_have_does_not(
    measured: Project,
) -> None:
    trace, other = measured.folder / "results/traces/b.json", measured.folder / "old/traces/not_in_the_grid.json"
    kept = trace.read_text()
    shutil.copy(measured.folder / "old/traces/b.json", other)
    change(other, lambda content: content["case"].update(name="not_in_the_grid", seed=8))
    try:
        run = measured.snakemake("compare", "--config", "baseline=old")
        assert run.code == 0, run.output
        assert json.loads(measured.read("results/comparison.json"))["only_old"] == ["not_in_the_grid"]
        trace.write_text(kept[: len(kept) // 2])
        run = measured.snakemake("compare", "--config", "baseline=old")
        assert run.code != 0
        message = "The comparison results/comparison.md is complete, but could not compare:\n"
        assert f"{message}this run: results/traces/b.json: not valid JSON" in run.output
        assert "worse than the baseline" not in run.output
        assert "this run: results/traces/b.json: not valid JSON" in measured.read("logs/compare.log")
        assert "## Excluded, and why\n\n- this run: results/traces/b.json" in measured.read("results/comparison.md")
    finally:
        trace.write_text(kept)
        other.unlink()


def test_traces_held_against_themselves_are_no_comparison(measured: Project) -> None:
    itself = measured.folder / "itself"
    shutil.copytree(measured.folder / "results/traces", itself, ignore=shutil.ignore_patterns("left_over.json"))
    run = measured.snakemake("compare", "--config", "baseline=itself")
    assert run.code == 1
    assert "nothing was measured again (`--forcerun measure` does" in run.output
    comparison = json.loads(measured.read("results/comparison.json"))
    assert comparison["not_measured_again"] == ["a", "b"]
    assert set(comparison["verdicts"]) == {"not measured again", "n/a"}
    change(itself / "a.json", earlier)
    run = measured.snakemake("compare", "--config", "baseline=itself")
    assert run.code == 0, run.output
    assert "**Not measured again**: 1 of 2 cases" in measured.read("results/comparison.md")
    again = measured.snakemake("compare", "--dry-run", "--forcerun", "measure", "--config", "baseline=itself")
    assert again.jobs >= COMPARISON | {("measure", "a"), ("measure", "b")}


def test_to_compare_nothing_is_an_error(measured: Project) -> None:
    (measured.folder / "others").mkdir()
    other = measured.folder / "others/other.json"
    shutil.copy(measured.folder / "old/traces/a.json", other)
    change(other, lambda content: content["case"].update(name="other", seed=9))
    run = measured.snakemake("compare", "--config", "baseline=others")
    assert run.code == 1
    nothing = (
        "no case of the baseline has the name or the settings of one of this grid (--config grid=FILE names another)"
    )
    assert f"The comparison results/comparison.md is complete, but nothing was compared:\n{nothing}" in run.output
    comparison = json.loads(measured.read("results/comparison.json"))
    assert (comparison["only_old"], comparison["only_new"]) == (["other"], ["a", "b"])


def test_a_baseline_of_broken_traces_says_why(measured: Project, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    run = measured.snakemake("compare", "--config", f"baseline={tmp_path}")
    assert run.code != 0
    assert f"{tmp_path}/a.json: not valid JSON" in run.output
