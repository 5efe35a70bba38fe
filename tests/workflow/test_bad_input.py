"""A mistake in the grid ends before any job starts, with one line and no Python traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from checkpoints import write_hollow_checkpoint
from conftest import SMALL, SMALL_DEFAULTS, Project, Run


def complaint(project: Project, *arguments: str) -> str:
    results_before = sorted((project.folder / "results").rglob("*"))
    run = project.snakemake(*arguments)
    assert run.code == 1, run.output
    assert "Traceback" not in run.output
    assert run.jobs == set()
    assert sorted((project.folder / "results").rglob("*")) == results_before
    lines = [line for line in run.output.splitlines() if line and "Using workflow specific profile" not in line]
    assert len(lines) == 1, run.output
    return lines[0]


def test_a_faulty_grid(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL | {"stepps": 3}}})
    line = complaint(project)
    for part in ("config/config.yaml: case 'a'", "'stepps'", "did you mean 'steps'"):
        assert part in line


def test_a_grid_that_is_not_yaml(new_project: Callable[[], Project]) -> None:
    project = new_project()
    (project.folder / "config/config.yaml").write_text("cases:\n  a: {model: TI2V-5B\n  b: 3\n")
    assert complaint(project).startswith("config/config.yaml: line 3, column 4: not valid YAML")


def test_a_case_that_stands_twice_in_a_file_given_on_the_command_line(new_project: Callable[[], Project]) -> None:
    project = new_project()
    (project.folder / "mine.yaml").write_text("cases:\n  a: {model: TI2V-5B}\n  a: {model: T2V-A14B}\n")
    line = complaint(project, "--config", "grid=mine.yaml")
    assert line == "mine.yaml: line 3: 'a' stands here a second time (first in line 2)"


def test_faulty_thresholds(new_project: Callable[[], Project]) -> None:
    project = new_project()
    file = project.folder / "config/thresholds.yaml"
    file.write_text(file.read_text("utf-8").replace("busy_machine_pct: 10", "busy_machine_pct: high"), "utf-8")
    start = 'config/thresholds.yaml: busy_machine_pct: "high" is not allowed; allowed: a number from'
    assert complaint(project).startswith(start)


def test_a_setting_on_the_command_line_is_not_passed_over(new_project: Callable[[], Project]) -> None:
    assert complaint(new_project(), "--config", "steps=3").startswith(
        "--config: steps has no effect; allowed: grid=FILE"
    )


def test_a_baseline_that_cannot_be_used(new_project: Callable[[], Project]) -> None:
    line = complaint(new_project(), "compare", "--config", "baseline=nowhere")
    assert line.startswith("baseline nowhere: does not exist; allowed: ")


def test_a_count_of_failures_that_was_changed_by_hand(new_project: Callable[[], Project]) -> None:
    project = new_project()
    file = project.folder / "results/failures/5B_64p.json"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert complaint(project) == (
        "results/failures/5B_64p.json: does not say how often the case failed; "
        "delete it and results/traces/5B_64p.json, and the case is measured again"
    )


def test_a_target_that_is_no_case_is_named(new_project: Callable[[], Project]) -> None:
    run = new_project().snakemake("results/traces/T2V_A14B_49p.json")
    line = "config/config.yaml: no case 'T2V_A14B_49p' (did you mean 'T2V_A14B_48p'?)"
    assert_ends_with_one_line(run, line)


def assert_ends_with_one_line(run: Run, line: str) -> None:
    assert run.code == 1
    assert run.jobs == set()
    assert run.output.splitlines()[-2:] == ["Building DAG of jobs...", line]
    assert "Exception" not in run.output


def test_a_comparison_without_a_baseline_and_a_reference_without_traces(new_project: Callable[[], Project]) -> None:
    project = new_project()
    assert_ends_with_one_line(project.snakemake("compare"), "compare: no baseline; allowed: --config baseline=PATH")
    assert_ends_with_one_line(
        project.snakemake("results/reference/l40/report.md"),
        "results/reference/l40/traces: no traces; allowed: a folder with *.json.gz files",
    )


@pytest.mark.parametrize(
    "target",
    ["results/traces/../../planted.json", "results/reference/../../planted/report.md"],
    ids=["case", "machine"],
)
def test_a_target_leads_nowhere_out_of_the_results(new_project: Callable[[], Project], target: str) -> None:
    project = new_project()
    before = {file for file in project.folder.parent.rglob("*") if ".snakemake" not in file.parts}
    run = project.snakemake(target)
    assert run.code == 1
    assert run.jobs == set()
    made = {file for file in project.folder.parent.rglob("*") if ".snakemake" not in file.parts} - before
    assert {file for file in made if file.is_file() and "__pycache__" not in file.parts} == set()


def test_a_hostile_grid_file_ends_in_one_line_that_acts_on_no_terminal(new_project: Callable[[], Project]) -> None:
    project = new_project()
    (project.folder / "config/config.yaml").write_text('cases: {a: {model: "\\e[31m\\u202ered\\x9b"}}\n')
    assert r'model: "\u001b[31m\u202ered\u009b" is not allowed' in complaint(project)


def test_two_grid_files_are_refused(new_project: Callable[[], Project]) -> None:
    line = complaint(new_project(), "--configfile", "config/config.yaml", "config/wan22.yaml")
    assert "are 2 grid files; allowed: one" in line


def test_a_grid_file_named_on_the_command_line_that_is_not_there(new_project: Callable[[], Project]) -> None:
    assert complaint(new_project(), "--config", "grid=mine.yaml").startswith("mine.yaml: cannot be read")


@pytest.mark.parametrize("option", [("--config", "grid=config/wan22.yaml"), ("--configfile", "config/wan22.yaml")])
def test_a_grid_file_given_on_the_command_line_takes_the_place_of_the_default(
    new_project: Callable[[], Project], option: tuple[str, str]
) -> None:
    run = new_project().snakemake("--dry-run", *option)
    assert run.code == 0, run.output
    measured = {case for rule, case in run.jobs if rule == "measure"}
    assert len(measured) == 29
    assert {"03_Max_Quality_704p", "I2V-A14B_832x480_group"} <= measured
    assert "5B_64p" not in measured


def test_snakemakes_own_option_for_a_grid_file_differs_only_where_the_file_cannot_be_read(
    new_project: Callable[[], Project],
) -> None:
    project = new_project()
    (project.folder / "mine.yaml").write_text(yaml.safe_dump({"cases": {"a": SMALL | SMALL_DEFAULTS}}))
    dry_run = ("--dry-run", "results/traces/a.json")
    assert project.snakemake(*dry_run, "--configfile", "mine.yaml").jobs == {("measure", "a")}
    assert project.snakemake(*dry_run, "--config", "grid=mine.yaml").jobs == {("measure", "a")}
    missing = project.snakemake("plan", "--configfile", "nowhere.yaml")
    assert missing.code == 1
    assert "Traceback" in missing.output
    assert "No such file or directory: 'nowhere.yaml'" in missing.output
    (project.folder / "empty.yaml").write_text("")
    refused = project.snakemake("plan", "--configfile", "empty.yaml")
    assert refused.code == 1
    assert "empty" not in refused.output


def test_a_checkpoint_and_a_picture_that_are_not_whole_start_nothing(new_project: Callable[[], Project]) -> None:
    project = new_project()
    weights = write_hollow_checkpoint(project.folder / "weights") / "vae/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    loads = SMALL | {"weights": "pretrained", "checkpoint": "weights", "unofficial_size": True}
    project.write_grid({"cases": {"a": loads}})
    assert "vae/diffusion_pytorch_model.safetensors is not whole" in complaint(project)
    picture = project.folder / "config/first_frame.png"
    picture.write_bytes(picture.read_bytes()[:-100])
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL | {"task": "i2v", "image": str(picture)}}})
    assert "is not a whole image" in complaint(project)


def test_braces_in_paths_work_or_end_in_one_line(new_project: Callable[[], Project], tmp_path: Path) -> None:
    project = new_project()
    grid = tmp_path / "my {1} grid.yaml"
    grid.write_text(yaml.safe_dump({"cases": {"a": SMALL | SMALL_DEFAULTS}}))
    (tmp_path / "before {x}").mkdir()
    (tmp_path / "before {x}/a.json").write_text("{}")
    options = ("--dry-run", "--config", f"grid={grid}", f"baseline={tmp_path}/before {{x}}")
    run = project.snakemake("compare", *options, "--directory", str(tmp_path / "in {y}"))
    assert run.code == 0, run.output
    assert {rule for rule, _ in run.jobs} >= {"measure", "report", "comparison", "compare"}
    moved = Project(project.folder.rename(tmp_path / "pro{je}ct"))
    assert "Snakemake takes braces in the path of a project for wildcards" in complaint(moved, "plan")


def test_records_and_locks_are_left_so_that_others_can_read_them(new_project: Callable[[], Project]) -> None:
    """For a dry run of somebody who may not write here: what Snakemake makes for itself alone, and what it deletes."""
    project = new_project()
    project.write_grid({"cases": {"a": SMALL | SMALL_DEFAULTS}})
    assert project.snakemake("results/traces/a.json").code == 0
    records = [file for file in (project.folder / ".snakemake/metadata").rglob("*") if file.is_file()]
    assert records
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in records)
    assert (project.folder / ".snakemake/locks").is_dir()
