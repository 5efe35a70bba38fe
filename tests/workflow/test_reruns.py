"""Only what changed runs again: real Snakemake plans and runs after each kind of change."""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import SMALL, SMALL_DEFAULTS, Project, copy_project

GRID = {
    "defaults": SMALL_DEFAULTS | {"prompt": "a cat"},
    "cases": {"a": SMALL, "b": SMALL | {"steps": 4}, "c": SMALL | {"prompt": "a dog"}},
}
TEXTS = {("report", ""), ("page", ""), ("outcome", "")}
REPORT = TEXTS | {("tabulate", ""), ("plot_grid", "")}


def again(*cases: str) -> set[tuple[str, str]]:
    """What runs again for cases that are measured again."""
    return {(rule, case) for rule in ("measure", "plot_case") for case in cases} | REPORT


ALL = again(*"abc")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("reruns") / "project")
    project.write_grid(GRID)
    run = project.snakemake()
    assert run.code == 0, run.output
    assert run.jobs == ALL
    assert re.search(r"^Cases: 3 ok", run.output, re.M)
    return project


@pytest.fixture
def project(measured: Project) -> Iterator[Project]:
    """The measured project; its files are put back after the test."""
    kept = {part: measured.folder / part for part in ("config", "workflow", "envs")}
    for part, folder in kept.items():
        shutil.copytree(folder, measured.folder / "kept" / part)
    yield measured
    for part, folder in kept.items():
        shutil.rmtree(folder)
        shutil.move(measured.folder / "kept" / part, folder)


def changed(change: Callable[[dict], object]) -> dict:
    grid = copy.deepcopy(GRID)
    change(grid)
    return grid


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda grid: None, set()),
        (lambda grid: grid["cases"]["a"].update(steps=5), again("a")),
        (lambda grid: grid["cases"].update(d=SMALL), again("d")),
        (lambda grid: grid["cases"].pop("b"), REPORT),
        (lambda grid: grid["cases"].update(e=grid["cases"].pop("b")), again("e")),
        (lambda grid: grid["defaults"].update(prompt="a bird"), again("a", "b")),
        (lambda grid: grid["cases"]["a"].update(seed=42, offload="none", shift=5), set()),
        (lambda grid: grid["cases"].update(dict(reversed(grid["cases"].items()))), set()),
    ],
    ids=["nothing", "one key", "add", "remove", "rename", "default prompt", "write out a default", "reorder"],
)
def test_a_change_of_the_grid(project: Project, change: Callable[[dict], object], expected: set) -> None:
    project.write_grid(changed(change))
    assert project.plan() == expected


def test_another_layout_of_the_grid_file(project: Project) -> None:
    text = project.read("config/config.yaml")
    lines = re.sub(r"^(\w)", r"# a comment\n\1", text, flags=re.M)
    (project.folder / "config/config.yaml").write_text(lines + "\n\n# more\n", "utf-8")
    assert project.plan() == set()


def test_a_touched_or_commented_script_runs_nothing(project: Project) -> None:
    for path in project.folder.glob("workflow/scripts/**/*.py"):
        path.write_text("# a comment\n" + path.read_text("utf-8"), "utf-8")
    env = project.folder / "envs/measure.yaml"
    env.write_text("# a comment\n" + env.read_text("utf-8"), "utf-8")
    assert project.plan() == set()


@pytest.mark.parametrize("path", ["measure_case.py", "wanbench/measure/wan/generate.py", "wanbench/trace/writer.py"])
def test_an_edit_of_the_measuring_code_runs_the_cases(project: Project, path: str) -> None:
    append(project.folder / "workflow/scripts" / path, "\nEDITED = True\n")
    assert project.plan() == ALL


def test_an_edit_of_the_measuring_environment_runs_the_cases(project: Project) -> None:
    env = project.folder / "envs/measure.yaml"
    env.write_text(re.sub(r"psutil=.*", "psutil=7.2.1", env.read_text("utf-8")), "utf-8")
    assert project.plan() == ALL


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("report/markdown.py", TEXTS),
        ("findings/trust.py", TEXTS),
        ("report/published_figures.csv", TEXTS),
        # Pictures are drawn from tables, which hold the estimate.
        ("estimate/memory.py", REPORT | {("plot_case", case) for case in "abc"}),
    ],
)
def test_an_edit_of_the_report_code_runs_what_imports_it(project: Project, path: str, expected: set) -> None:
    append(project.folder / "workflow/scripts/wanbench" / path, "\nEDITED = True\n")
    assert project.plan() == expected


def test_a_changed_threshold_makes_only_the_report_again(project: Project) -> None:
    file = project.folder / "config/thresholds.yaml"
    text = file.read_text("utf-8")
    file.write_text(f"# another reason\n{text}", "utf-8")
    assert project.plan() == set()
    file.write_text(text.replace("busy_machine_pct: 10", "busy_machine_pct: 20"), "utf-8")
    assert project.plan() == TEXTS


def test_a_changed_limit_of_the_check_judges_all_cases_again_and_measures_none(project: Project) -> None:
    file = project.folder / "config/thresholds.yaml"
    file.write_text(file.read_text("utf-8").replace("slowed_down_pct: 1", "slowed_down_pct: 2"), "utf-8")
    assert project.plan() == {("plot_case", name) for name in "abc"} | REPORT


@pytest.mark.parametrize(
    ("path", "expected"),
    [("plots/timeline.py", {("page", ""), ("outcome", "")}), ("trace/verdict.py", REPORT)],
    ids=["draws", "judges"],
)
def test_an_edit_of_the_code_that_draws_or_judges_a_case_measures_none(
    project: Project, path: str, expected: set
) -> None:
    append(project.folder / "workflow/scripts/wanbench" / path, "\nEDITED = True\n")
    assert project.plan() == {("plot_case", name) for name in "abc"} | expected


def test_the_project_in_another_place_runs_nothing(measured: Project, tmp_path: Path) -> None:
    shutil.copytree(measured.folder, tmp_path / "elsewhere")
    assert Project(tmp_path / "elsewhere").plan() == set()


def test_a_deleted_trace_is_measured_again(measured: Project, tmp_path: Path) -> None:
    shutil.copytree(measured.folder, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    (project.folder / "results/traces/b.json").unlink()
    assert project.plan() == again("b")


def test_a_changed_case_is_measured_and_the_others_are_not_touched(measured: Project, tmp_path: Path) -> None:
    shutil.copytree(measured.folder, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    traces = project.folder / "results/traces"
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in traces.iterdir()}
    project.write_grid(changed(lambda grid: grid["cases"]["a"].update(steps=6)))
    run = project.snakemake()
    assert run.code == 0, run.output
    assert run.jobs == again("a")
    after = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in traces.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["a.json"]
    assert "Step_5_Inference" in project.read("results/report.md")
    assert project.plan() == set()


def test_a_trace_that_snakemake_was_made_to_believe_is_named_and_not_used(measured: Project, tmp_path: Path) -> None:
    """After a lost `.snakemake` folder, Snakemake takes any trace for the right one."""
    shutil.copytree(measured.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(".snakemake"))
    project = Project(tmp_path / "copy")
    project.write_grid(changed(lambda grid: grid["cases"]["a"].update(steps=6)))
    run = project.snakemake("--forcerun", "tabulate")
    assert run.code == 1
    assert ("measure", "a") not in run.jobs
    assert "a: excluded: results/traces/a.json: digests.case_sha256: measured with other settings" in run.output
    report = project.read("results/report.md")
    assert "## Excluded, and why" in report
    assert "## Case: a\n" not in report
    assert "## Case: b\n" in report


def test_a_trace_of_a_removed_case_ends_the_run_with_what_to_do_and_costs_nothing(
    measured: Project, tmp_path: Path
) -> None:
    shutil.copytree(measured.folder, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    project.write_grid(changed(lambda grid: grid["cases"].pop("b")))
    run = project.snakemake()
    assert run.code == 1
    # The report was written all the same.
    assert "b.json: the grid has no such case" in project.read("results/report.md").replace("\\", "")
    assert "## Case: a\n" in project.read("results/report.md")
    # Snakemake shows it as it is said, and again with the log.
    (line,) = set(re.findall("^config/config.yaml has no cases for these traces, .*", run.output, re.M))
    command = line.split("not measured again): ")[1]
    assert command == "mkdir -p results/aside/traces && mv -n results/traces/b.json results/aside/traces"
    subprocess.run(command, shell=True, cwd=project.folder, check=True)
    run = project.snakemake()
    assert run.code == 0, run.output
    assert run.jobs == REPORT
    # Back in the grid, the kept trace is still that of its case.
    project.write_grid(GRID)
    shutil.move(project.folder / "results/aside/traces/b.json", project.folder / "results/traces")
    assert project.plan() == REPORT


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text("utf-8") + text, "utf-8")
