"""Grids side by side: each has its results in a folder of its own, with Snakemake's --directory."""

import re
import subprocess
from pathlib import Path

import yaml

from conftest import SMALL, SMALL_DEFAULTS, copy_project


def test_a_grid_of_the_project_is_measured_in_another_folder(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    case = SMALL | {"task": "i2v", "image": "config/first_frame.png"}
    own = {"defaults": SMALL_DEFAULTS, "cases": {"a": case}}
    (project.folder / "config/own.yaml").write_text(yaml.safe_dump(own), "utf-8")
    there = ("--directory", "runs/own", "--config", "grid=config/own.yaml")
    run = project.snakemake("results/tables/cases.csv", *there)
    assert run.code == 0, run.output
    assert ("measure", "a") in run.jobs
    assert "\na,ok," in project.read("runs/own/results/tables/cases.csv")
    (project.folder / "config/own.yaml").write_text(yaml.safe_dump(own | {"cases": {"b": SMALL}}), "utf-8")
    command = re.search(r"not measured again\): (mkdir .*)", project.snakemake("-n", *there).output)[1]
    subprocess.run(["bash", "-c", command], check=True, cwd=project.folder / "runs/own")
    assert not (project.folder / "runs/own/results/traces/a.json").exists()
    assert (project.folder / "runs/own/results/aside/traces/a.json").exists()
    (project.folder / "config/own.yaml").write_text(yaml.safe_dump(own), "utf-8")
    (project.folder / "runs/own/results/aside/traces/a.json").rename(project.folder / "runs/own/results/traces/a.json")
    assert not (project.folder / "results").exists()
    assert project.snakemake("results/tables/cases.csv", *there).jobs == set()
    plain = project.snakemake("--dry-run", "--directory", "runs/default")
    assert plain.code == 0, plain.output
    assert len([case for rule, case in plain.jobs if rule == "measure"]) == 6
