"""A checkpoint of random weights: written by one command, then loaded as a published one would be."""

import json
from pathlib import Path

from conftest import SMALL, SMALL_DEFAULTS, copy_project


def test_a_written_checkpoint_is_loaded_and_what_it_read_is_told(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    folder = "results/checkpoints/tiny/TI2V-5B"
    case = {key: value for key, value in (SMALL_DEFAULTS | SMALL).items() if key != "scale"}
    loaded = case | {"weights": "pretrained", "checkpoint": folder}
    project.write_grid({"cases": {"loaded": loaded, "another": SMALL_DEFAULTS | SMALL}})
    # It need not be there for other cases of the grid, and no job starts for a run that needs it.
    assert project.snakemake("-n", "results/traces/another.json").code == 0
    run = project.snakemake()
    assert run.code == 1
    assert run.jobs == set()
    assert f"config/config.yaml: case 'loaded': checkpoint: \"{folder}\" is not there yet" in run.output
    assert f"`snakemake --cores 1 {folder}` writes it" in run.output
    assert "Traceback" not in run.output
    run = project.snakemake(folder)
    assert run.code == 0, run.output
    assert run.jobs == {("checkpoint", "")}
    run = project.snakemake("results/traces/loaded.json")
    assert run.code == 0, run.output
    trace = json.loads(project.read("results/traces/loaded.json"))
    assert trace["status"] == "ok"
    stages = {event["name"]: event["args"] for event in trace["traceEvents"] if event.get("cat") == "stage"}
    on_disk = sum(file.stat().st_size for file in (project.folder / folder).rglob("*.safetensors"))
    assert stages["Model_Initialization"]["checkpoint_bytes"] == on_disk > 0
    assert stages["Model_Initialization"]["disk_read_bytes"] >= 0
    assert "checkpoint_bytes" not in stages["VAE_Decoding"]
