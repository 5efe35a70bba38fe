"""`snakemake plan`: what a grid will need, said without measuring anything."""

from collections.abc import Callable

import pynvml

from conftest import Project, simulated_gpus


def test_a_plan_measures_nothing_and_names_every_case(new_project: Callable[[], Project]) -> None:
    project = new_project()
    run = project.snakemake("plan", "--config", "grid=config/wan22.yaml")
    assert run.code == 0, run.output
    assert run.jobs == {("plan", "")}
    lines = run.output.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("Case "))) :]
    assert [line.split()[0] for line in table[:31]].count("Sum") == 1
    assert table[30].startswith("Sum")
    assert "I2V-A14B_1280x720_sequential" in {line.split()[0] for line in table[1:30]}
    assert not (project.folder / "results/traces").exists()
    assert "GPUs that may be used: none that NVML knows of" in lines
    assert next(line for line in lines if line.startswith("Needs a GPU: 29 cases: ")).endswith(" and 26 more")
    simulated = project.snakemake("plan", "--config", "grid=config/wan22.yaml", environment=simulated_gpus("GPU-0"))
    assert "GPUs that may be used: 1 x NVIDIA H200, 150.8 GB" in simulated.output.splitlines()
    assert "the GPU's datasheet" in simulated.output
    assert "nothing measured" not in simulated.output
    assert "Needs a GPU" not in simulated.output


def test_a_prediction_measures_nothing_and_names_every_case(new_project: Callable[[], Project]) -> None:
    project = new_project()
    (project.folder / "config/prices.yaml").write_text("currency: EUR\nkwh: 0.25\n")
    run = project.snakemake("predict", "--config", "grid=config/wan22.yaml", "gpu=rtx 4090")
    assert run.code == 0, run.output
    assert run.jobs == {("predict", "")}
    lines = run.output.splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("Case "))) :]
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
