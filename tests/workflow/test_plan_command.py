"""What a grid will need, said without measuring anything. The work for that grows with the cases and not their square,
which at 10,000 of them would take hours.
"""

import pstats
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pynvml

from conftest import SMALL, SMALL_DEFAULTS, Project, copy_project, simulated_gpus


def table_in(output: str) -> list[str]:
    return output[output.index("\nCase ") + 1 :].splitlines()


def test_a_plan_measures_nothing_and_names_every_case(new_project: Callable[[], Project]) -> None:
    project = new_project()
    run = project.snakemake("plan", "--config", "grid=config/wan22.yaml")
    assert run.code == 0, run.output
    assert run.jobs == {("plan", "")}
    table = table_in(run.output)
    assert table[30].startswith("Sum")
    assert "I2V-A14B_1280x720_sequential" in {line.split()[0] for line in table[1:30]}
    assert not (project.folder / "results/traces").exists()
    assert "GPUs that may be used: none that NVML knows of" in table
    assert any(line.startswith("Needs a GPU: 29 cases: ") for line in table)
    two_of_which_one = simulated_gpus("GPU-0", "GPU-1") | {"CUDA_VISIBLE_DEVICES": "1"}
    simulated = project.snakemake("plan", "--config", "grid=config/wan22.yaml", environment=two_of_which_one)
    assert "GPUs that may be used: 1 x NVIDIA H200, 150.8 GB" in simulated.output.splitlines()
    assert "the GPU's datasheet" in simulated.output
    assert "Needs a GPU" not in simulated.output


def test_a_prediction_measures_nothing_and_names_every_case(new_project: Callable[[], Project]) -> None:
    project = new_project()
    (project.folder / "config/prices.yaml").write_text("currency: EUR\nkwh: 0.25\n")
    run = project.snakemake("predict", "--config", "grid=config/wan22.yaml", "gpu=rtx 4090")
    assert run.code == 0, run.output
    assert run.jobs == {("predict", "")}
    table = table_in(run.output)
    assert "Cost (EUR)" in table[0]
    assert "I2V-A14B_1280x720_sequential" in {line.split()[0] for line in table[1:30]}
    assert table[31].startswith("RTX 4090: 24 GB, ")
    unnamed = project.snakemake("predict")
    assert unnamed.code == 1
    assert "predict: no GPU; allowed: --config gpu=NAME, of H100 SXM, " in unnamed.output
    assert not (project.folder / "results/traces").exists()


def test_a_driver_that_does_not_answer_is_no_machine_without_a_gpu(new_project: Callable[[], Project]) -> None:
    project, grid = new_project(), ("--config", "grid=config/wan22.yaml")
    mismatch = {"SIMULATED_DRIVER_FAILS": str(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)}
    planned = project.snakemake("plan", *grid, environment=simulated_gpus("GPU-0") | mismatch)
    assert planned.code == 0, planned.output
    assert "GPUs that may be used: not known, since NVML does not answer: RM has detected an NVML/RM" in planned.output
    assert "Needs a GPU" not in planned.output
    started = project.snakemake(*grid, environment=simulated_gpus("GPU-0") | mismatch)
    assert started.code == 1
    assert "Nothing was started: 29 cases need a GPU" in started.output
    assert "restart the machine" in started.output
    assert not (project.folder / "results/traces").exists()


# Commands, rules and folders of the project; tried with real runs too, all in one grid.
NAMES = ["compare", "traces", "tables", "report", "plots", "kernels", "frames"]
NAMES += ["tune", "predict", "plan", "cases", "page", "outcome", "all"]


def test_a_case_may_be_called_as_the_project_calls_its_own_things(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": dict.fromkeys(NAMES, SMALL)})
    run = project.snakemake("--dry-run", "all", "kernels")
    assert run.code == 0, run.output
    assert run.jobs >= {(rule, name) for rule in ("measure", "profile") for name in NAMES}


# Plans each folder in a fork. Imports of Snakemake, which would take most of the time, are left out.
_PROFILED = """if True:
    import cProfile, os, sys, snakemake.cli, snakemake.persistence
    sys.path[0] = ""
    for folder in sys.argv[1:]:
        if not os.fork():
            break
        assert os.wait()[1] == 0
    else:
        sys.exit()
    os.chdir(folder)
    sys.argv[1:] = ["--cores", "1", "--dry-run"]
    profile = cProfile.Profile()
    try:
        profile.runcall(snakemake.cli.main)
    finally:
        profile.dump_stats("profile")
    """


def test_a_plan_grows_with_the_cases(tmp_path: Path) -> None:
    counts = 20, 40, 60
    projects = [with_cases(copy_project(tmp_path / str(count)), count) for count in counts]
    command = [sys.executable, "-c", _PROFILED, *(str(project.folder) for project in projects)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"measure {count}" in " ".join(done.stdout.split()) for count in counts)
    calls = [calls_of_ours(project.folder) for project in projects]
    first, second = calls[1] - calls[0], calls[2] - calls[1]
    assert first > 20 * 10
    assert second <= 1.02 * first, calls


def with_cases(project: Project, count: int) -> Project:
    seeds = {"name": "{seed}", "axes": {"seed": list(range(count))}, "set": SMALL}
    project.write_grid({"defaults": SMALL_DEFAULTS, "grid": seeds})
    failure = '{"failed_attempts": 1, "status": "error", "message": null, "run_id": "earlier"}'
    for folder, name, text in (("traces", "of_another_grid_", "{}"), ("failures", "", failure)):
        (project.folder / "results" / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (project.folder / "results" / folder / f"{name}{number}.json").write_text(text)
    return project


def calls_of_ours(folder: Path) -> int:
    """Function calls that the project's own code made in a dry run. Unlike times, they are the same every time."""
    callers = [by for *_, by in pstats.Stats(str(folder / "profile")).stats.values()]
    return sum(calls for by in callers for (file, _, _), (calls, *_) in by.items() if file.startswith(str(folder)))
