"""Grids side by side, each with its results in a folder of its own, and a checkpoint that is made there."""

import json

import pytest
import yaml

from conftest import SMALL, SMALL_DEFAULTS, Project, Run, copy_project

CHECKPOINT = "results/checkpoints/tiny/TI2V-5B"
THERE = ("--directory", "runs/own", "--config", "grid=config/own.yaml")
FROM_CHECKPOINT = {"weights": "pretrained", "checkpoint": CHECKPOINT}
OF_BOTH = {key: value for key, value in SMALL_DEFAULTS.items() if key != "scale"} | SMALL
CASES = {
    # The picture is that of the project, the checkpoint one of the other folder.
    "a": OF_BOTH | FROM_CHECKPOINT | {"task": "i2v", "image": "config/first_frame.png"},
    "another": SMALL_DEFAULTS | SMALL,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("directory") / "project")
    write(project, *CASES)
    return project


def write(project: Project, *cases: str) -> None:
    grid = {"cases": {case: CASES[case] for case in cases}}
    (project.folder / "config/own.yaml").write_text(yaml.safe_dump(grid), "utf-8")


@pytest.fixture(scope="module")
def run(project: Project) -> Run:
    """Without a checkpoint no job starts; one command writes it, and with it the case is measured."""
    # It need not be there for other cases of the grid.
    assert project.snakemake("-n", "results/traces/another.json", *THERE).code == 0
    refused = project.snakemake("results/traces/a.json", *THERE)
    assert refused.code == 1
    assert refused.jobs == set()
    assert f"config/own.yaml: case 'a': checkpoint: \"{CHECKPOINT}\" is not there yet" in refused.output
    assert f"`snakemake --cores 1 {CHECKPOINT}` writes it" in refused.output
    assert "Traceback" not in refused.output
    written = project.snakemake(CHECKPOINT, *THERE)
    assert written.code == 0, written.output
    assert written.jobs == {("checkpoint", "")}
    write(project, "a")
    run = project.snakemake("results/tables/cases.csv", *THERE)
    assert run.code == 0, run.output
    return run


def test_a_checkpoint_is_loaded_and_what_it_read_is_told(project: Project, run: Run) -> None:
    folder = project.folder / "runs/own"
    trace = json.loads((folder / "results/traces/a.json").read_text("utf-8"))
    stages = {event["name"]: event["args"] for event in trace["traceEvents"] if event.get("cat") == "stage"}
    on_disk = sum(file.stat().st_size for file in (folder / CHECKPOINT).rglob("*.safetensors"))
    assert stages["Model_Initialization"]["checkpoint_bytes"] == on_disk > 0
    assert stages["Model_Initialization"]["disk_read_bytes"] >= 0
    assert "checkpoint_bytes" not in stages["VAE_Decoding"]


def test_a_grid_of_the_project_is_measured_in_another_folder(project: Project, run: Run) -> None:
    assert ("measure", "a") in run.jobs
    assert "\na,ok," in project.read("runs/own/results/tables/cases.csv")
    assert not (project.folder / "results").exists()
    assert project.snakemake("results/tables/cases.csv", *THERE).jobs == set()
    plain = project.snakemake("--dry-run", "--directory", "runs/default")
    assert plain.code == 0, plain.output
    assert len([case for rule, case in plain.jobs if rule == "measure"]) == 6
