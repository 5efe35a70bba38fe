"""What ends before any job, in one line without a traceback: mistakes, and full scale without a GPU."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from checkpoints import write_hollow_checkpoint
from conftest import ROOT, SMALL, SMALL_DEFAULTS, Project, simulated_work
from wanbench.trace.reader import read_trace


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
        ({"config/prices.yaml": "kwh: dear"}, "", 'config/prices.yaml: kwh: "dear" is not allowed; allowed: a number'),
        ({}, "--config steps=3", "--config: steps has no effect; allowed: grid=FILE"),
    ],
)
def test_a_mistake_is_one_line(project: Project, files: dict[str, str], arguments: str, part: str) -> None:
    for name, text in files.items():
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text(text)
    assert part in complaint(project, *arguments.split())


def test_a_target_that_cannot_be_made_is_one_line(project: Project) -> None:
    kept = "results/reference/l40"
    for target, line in {
        "results/traces/T2V_A14B_49p.json": "config/config.yaml: no case 'T2V_A14B_49p' (did you mean 'T2V_A14B_48p'?)",
        "compare": "compare: no baseline; allowed: --config baseline=PATH",
        f"{kept}/report.md": f"{kept}/traces: no traces; allowed: a folder with *.json.gz files",
    }.items():
        run = project.snakemake(target)
        assert (run.code, run.jobs) == (1, set())
        assert run.output.splitlines()[-2:] == ["Building DAG of jobs...", line]
        assert "Exception" not in run.output


def test_a_target_leads_nowhere_out_of_the_results(project: Project) -> None:
    """Of names of machines, as of cases, tests/unit/test_hostile_traces.py has the pattern."""

    def files() -> set[Path]:
        found = (file for file in project.folder.parent.rglob("*") if file.is_file())
        return {file for file in found if not {".snakemake", "__pycache__"} & set(file.parts)}

    before = files()
    run = project.snakemake("results/traces/../../planted.json")
    assert (run.code, run.jobs) == (1, set())
    assert files() == before


def test_a_grid_file_takes_the_place_of_the_default(project: Project) -> None:
    (project.folder / "mine.yaml").write_text(yaml.safe_dump({"cases": {"a": SMALL | SMALL_DEFAULTS}}))
    for option in (("--configfile", "mine.yaml"), ("--config", "grid=mine.yaml")):
        run = project.snakemake("--dry-run", *option)
        assert {case for rule, case in run.jobs if rule == "measure"} == {"a"}, run.output


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
    for target in (["results/tables/cases.parquet"], ["--touch", "-R", "measure"]):
        run = full_scale.snakemake(*target)
        assert run.code == 0, run.output


def test_on_a_cluster_the_nodes_need_the_gpus(full_scale: Project) -> None:
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
    work = (ROOT / "tests/simulated_work/sitecustomize.py").read_text("utf-8")
    no_nvml = "import importlib.util as u\nfound = u.find_spec\nu.find_spec = lambda name, package=None: "
    no_nvml += "None if name == 'pynvml' else found(name, package)\n"
    (tmp_path / "sitecustomize.py").write_text(no_nvml + work)
    environment = simulated_work() | {"PYTHONPATH": os.fspath(tmp_path)}
    run = full_scale.snakemake("results/traces/big.json", environment=environment)
    assert "Nothing was started" not in run.output
    assert run.jobs == {("measure", "big")}
