"""`snakemake --use-conda` on a small grid, with the stand-in for conda.

Proved here: an environment is solved, linked and activated for each rule; jobs run in it and in nothing else, or fail;
and what a change of an env file runs again. Not proved: that conda-forge has the packages of `envs/` in these versions,
that they work together, and how the real conda downloads, links and activates them; see `tests/conda_stand_in`. One
line of the env files is changed, to the Python that runs the tests.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from conda_stand_in.channel import PYTHON_X_Y, Package
from conda_stand_in.installation import install_stand_in, packages_of_the_project
from conftest import ROOT, SMALL, SMALL_DEFAULTS, Project, Run, copy_project
from example_cases import IMAGE
from wanbench.trace.reader import read_trace

GRID = {
    "defaults": SMALL_DEFAULTS,
    "cases": {"a": SMALL | {"model": "I2V-A14B", "size": "32*32", "image": IMAGE}},
}
RULES = ("tabulate", "report", "page", "outcome")
REPORT = {(rule, "") for rule in RULES}


@pytest.fixture(scope="module")
def packages() -> list[Package]:
    return packages_of_the_project()


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory, packages: list[Package]) -> Path:
    return install_stand_in(tmp_path_factory.mktemp("conda") / "conda", packages)


def run(project: Project, conda: Path, *arguments: str) -> Run:
    path = f"{conda}{os.pathsep}{os.environ['PATH']}"
    return project.snakemake(*arguments, "--use-conda", environment={"PATH": path})


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, conda: Path) -> tuple[Project, set[tuple[str, str]]]:
    """A project after one run with conda, and the jobs that ran."""
    project = copy_project(tmp_path_factory.mktemp("measured") / "project")
    project.write_grid(GRID)
    for env in ("measure", "report"):
        edit(project, env, lambda text: re.sub("python=.*", f"python={PYTHON_X_Y}", text))
    profile = "results/kernels/a.json"
    first = run(project, conda, "all", profile)
    assert first.code == 0, first.output
    # Or the next run would put it into the report.
    (project.folder / profile).unlink()
    return project, first.jobs


@pytest.fixture
def copied(measured: tuple[Project, set[tuple[str, str]]], tmp_path: Path) -> Project:
    """The project elsewhere: Snakemake makes environments of its own for it."""
    project = Project(tmp_path / "copy")
    shutil.copytree(measured[0].folder, project.folder, ignore=shutil.ignore_patterns("conda"))
    return project


def edit(project: Project, env: str, change: Callable[[str], str]) -> None:
    file = project.folder / "envs" / f"{env}.yaml"
    text = file.read_text("utf-8")
    file.write_text(change(text), "utf-8")


def environment_of(project: Project, env: str) -> Path:
    """Where Snakemake made the environment of the env file as it is now."""
    made_from = (project.folder / "envs" / f"{env}.yaml").read_bytes()
    copies = (project.folder / ".snakemake/conda").glob("*.yaml")
    return next(copy.with_suffix("") for copy in copies if copy.read_bytes() == made_from)


def holds(environment: Path, package: str) -> bool:
    return any(environment.glob(f"lib/python*/site-packages/{package}"))


def test_jobs_run_in_the_environment_of_their_rule(measured: tuple[Project, set[tuple[str, str]]]) -> None:
    """A job that does not run in its environment fails, as each script asks for it: tests/unit/test_structure.py."""
    project, ran = measured
    assert ran == REPORT | {("measure", "a"), ("profile", "a")}
    measure, report = (environment_of(project, env) for env in ("measure", "report"))
    assert holds(measure, "torch")
    assert not holds(measure, "pandas")
    assert holds(report, "pandas")
    assert not holds(report, "torch")
    environment = read_trace(project.folder / "results/traces/a.json").environment
    assert (environment["software_deployment"], environment["conda_env"]) == ("conda", measure.name)
    assert project.read("results/report.md").count(f"- **Conda**: {measure.name.rstrip('_')}") == 1


def test_what_the_hosted_workflow_checks_of_the_traces(measured: tuple[Project, set[tuple[str, str]]]) -> None:
    """All of that workflow that can be run here."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/conda.yml").read_text("utf-8"))
    (check,) = [step["run"] for step in workflow["jobs"]["default-grid"]["steps"] if "traces" in step.get("run", "")]
    folder = measured[0].folder
    assert subprocess.run(["bash", "-ec", check], cwd=folder).returncode == 0
    check_of_others = check.replace('"conda"', '"none"')
    assert subprocess.run(["bash", "-ec", check_of_others], cwd=folder).returncode == 1


def test_a_run_without_conda_or_after_a_comment_does_nothing(copied: Project, conda: Path) -> None:
    assert copied.snakemake().jobs == set()
    for env in ("measure", "report"):
        edit(copied, env, lambda text: f"# A comment.\n{text}")
    with_comment = run(copied, conda)
    assert with_comment.code == 0
    assert "Nothing to be done" in with_comment.output


def test_a_changed_environment_is_made_and_what_depends_on_it_runs_again(copied: Project, conda: Path) -> None:
    edit(copied, "report", lambda text: f"{text}      - psutil==7.2.2\n")
    assert run(copied, conda, "--dry-run").jobs == REPORT
    again = run(copied, conda, "results/tables/cases.csv")
    assert again.code == 0, again.output
    assert again.jobs == {("tabulate", "")}
    assert holds(environment_of(copied, "report"), "psutil")
    edit(copied, "measure", lambda text: re.sub("psutil=.*", "psutil=7.2.1", text))
    assert run(copied, conda, "--dry-run").jobs == REPORT | {("measure", "a")}


def test_trials_of_tune_run_in_the_environment_of_measuring(copied: Project, conda: Path) -> None:
    # What leaves nothing to be tried but stock, which is confirmed.
    fixed = {"attention": "native", "compile": "none", "timesteps": "per_token", "vae_memory_format": "contiguous"}
    fixed |= SMALL_DEFAULTS | SMALL | {"steps": 3}
    options = [f"{key}={value}" for key, value in fixed.items()]
    tuned = run(copied, conda, "tune", "--config", "model=TI2V-5B", "name=one", *options)
    assert tuned.code == 0, tuned.output
    traces = [read_trace(file) for file in sorted((copied.folder / "results/tune/one/results/traces").iterdir())]
    assert [trace.case["name"] for trace in traces] == ["stock", "stock_confirmed"]
    made = environment_of(copied, "measure").name
    assert {(trace.status, trace.environment["conda_env"]) for trace in traces} == {("ok", made)}


def test_where_activation_fails_nothing_runs(copied: Project, packages: list[Package], tmp_path: Path) -> None:
    """Snakemake's command goes on with the Python that runs Snakemake."""
    broken = install_stand_in(tmp_path / "broken", packages)
    (broken / "activate").write_text("return 1\n")
    trace = "results/traces/a.json"
    failed = run(copied, broken, trace, "--forcerun", "measure")
    assert failed.code == 1
    assert "envs/measure.yaml: this job was to run in the conda environment of this file" in failed.output
    assert not (copied.folder / trace).exists()
    assert (copied.folder / "results/last_good/a.json").exists()


def test_a_package_that_only_snakemake_has_is_not_found(copied: Project, conda: Path) -> None:
    edit(copied, "report", lambda text: re.sub(".*jinja2=.*\n", "", text))
    failed = run(copied, conda, "results/report.md", "--retries", "0")
    assert failed.code == 1
    assert "No module named 'jinja2'" in failed.output
