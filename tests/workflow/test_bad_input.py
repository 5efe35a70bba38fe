"""A mistake ends before any job starts, with one line and no Python traceback. What the lines say, unit tests show."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from checkpoints import write_hollow_checkpoint
from conftest import SMALL, SMALL_DEFAULTS, Project


@pytest.fixture
def project(new_project: Callable[[], Project]) -> Project:
    return new_project()


def complaint(project: Project, *arguments: str) -> str:
    """The one line with which a run ends that starts nothing and leaves the results as they were."""
    before = sorted((project.folder / "results").rglob("*"))
    run = project.snakemake(*arguments)
    assert run.code == 1, run.output
    assert run.jobs == set()
    assert sorted((project.folder / "results").rglob("*")) == before
    (line,) = [line for line in run.output.splitlines() if line and "Using workflow specific profile" not in line]
    return line


HOSTILE = 'cases: {a: {model: "\\e[31m\\u202ered\\x9b"}}\n'


@pytest.mark.parametrize(
    ("files", "arguments", "part"),
    [
        ({"mine.yaml": HOSTILE}, "--config grid=mine.yaml", r'model: "\u001b[31m\u202ered\u009b" '),
        (
            {"config/prices.yaml": "kwh: dear"},
            "",
            'config/prices.yaml: kwh: "dear" is not allowed; allowed: a number',
        ),
        ({}, "--config steps=3", "--config: steps has no effect; allowed: grid=FILE"),
    ],
    ids=["a grid", "prices", "an option"],
)
def test_a_mistake_is_one_line(project: Project, files: dict[str, str], arguments: str, part: str) -> None:
    for name, text in files.items():
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text(text)
    assert part in complaint(project, *arguments.split())


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (
            "results/traces/T2V_A14B_49p.json",
            "config/config.yaml: no case 'T2V_A14B_49p' (did you mean 'T2V_A14B_48p'?)",
        ),
        ("compare", "compare: no baseline; allowed: --config baseline=PATH"),
        (
            "results/reference/l40/report.md",
            "results/reference/l40/traces: no traces; allowed: a folder with *.json.gz files",
        ),
    ],
)
def test_a_target_that_cannot_be_made_is_one_line(project: Project, target: str, line: str) -> None:
    run = project.snakemake(target)
    assert run.code == 1
    assert run.jobs == set()
    assert run.output.splitlines()[-2:] == ["Building DAG of jobs...", line]
    assert "Exception" not in run.output


def test_a_target_leads_nowhere_out_of_the_results(project: Project) -> None:
    """Of names of machines, as of cases, tests/unit/test_hostile_traces.py has the pattern."""
    before = {file for file in project.folder.parent.rglob("*") if ".snakemake" not in file.parts}
    run = project.snakemake("results/traces/../../planted.json")
    assert run.code == 1
    assert run.jobs == set()
    made = {file for file in project.folder.parent.rglob("*") if ".snakemake" not in file.parts} - before
    assert {file for file in made if file.is_file() and "__pycache__" not in file.parts} == set()


def test_a_grid_file_takes_the_place_of_the_default_and_snakemakes_own_option_differs_only_where_it_cannot_be_read(
    project: Project,
) -> None:
    (project.folder / "mine.yaml").write_text(yaml.safe_dump({"cases": {"a": SMALL | SMALL_DEFAULTS}}))
    for option in (("--configfile", "mine.yaml"), ("--config", "grid=mine.yaml")):
        run = project.snakemake("--dry-run", *option)
        assert {case for rule, case in run.jobs if rule == "measure"} == {"a"}, run.output
    missing = project.snakemake("plan", "--configfile", "nowhere.yaml")
    assert missing.code == 1
    assert "Traceback" in missing.output
    assert "No such file or directory: 'nowhere.yaml'" in missing.output
    (project.folder / "empty.yaml").write_text("")
    refused = project.snakemake("plan", "--configfile", "empty.yaml")
    assert refused.code == 1
    assert "empty" not in refused.output


def test_a_checkpoint_and_a_picture_that_are_not_whole_start_nothing(project: Project) -> None:
    weights = write_hollow_checkpoint(project.folder / "weights") / "vae/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    loads = SMALL | {"weights": "pretrained", "checkpoint": "weights", "unofficial_size": True}
    project.write_grid({"cases": {"a": loads}})
    assert "vae/diffusion_pytorch_model.safetensors is not whole" in complaint(project)
    picture = project.folder / "config/first_frame.png"
    picture.write_bytes(picture.read_bytes()[:-100])
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL | {"task": "i2v", "image": str(picture)}}})
    assert "is not a whole image" in complaint(project)


def test_braces_in_paths_work_or_end_in_one_line(project: Project, tmp_path: Path) -> None:
    grid = tmp_path / "my {1} grid.yaml"
    grid.write_text(yaml.safe_dump({"cases": {"a": SMALL | SMALL_DEFAULTS}}))
    (tmp_path / "before {x}").mkdir()
    (tmp_path / "before {x}/a.json").write_text("{}")
    options = ("--dry-run", "--config", f"grid={grid}", f"baseline={tmp_path}/before {{x}}")
    run = project.snakemake("compare", *options, "--directory", str(tmp_path / "in {y}"))
    assert run.code == 0, run.output
    assert {rule for rule, _ in run.jobs} >= {"measure", "report", "compare"}
    moved = Project(project.folder.rename(tmp_path / "pro{je}ct"))
    assert "Snakemake takes braces in the path of a project for wildcards" in complaint(moved, "plan")
