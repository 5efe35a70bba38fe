"""A checkpoint of random weights: written by one command, then loaded as a published one would be."""

import json
from pathlib import Path

from conftest import SMALL, SMALL_DEFAULTS, copy_project


def test_a_written_checkpoint_is_loaded_and_what_it_read_is_told(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    folder = "results/checkpoints/tiny/TI2V-5B"
    run = project.snakemake(folder)
    assert run.code == 0, run.output
    assert run.jobs == {("checkpoint", "")}
    case = {key: value for key, value in (SMALL_DEFAULTS | SMALL).items() if key != "scale"}
    project.write_grid({"cases": {"loaded": case | {"weights": "pretrained", "checkpoint": folder}}})
    run = project.snakemake("results/traces/loaded.json", "results/report.md")
    assert run.code == 0, run.output
    trace = json.loads(project.read("results/traces/loaded.json"))
    assert trace["status"] == "ok"
    stages = {event["name"]: event["args"] for event in trace["traceEvents"] if event.get("cat") == "stage"}
    on_disk = sum(file.stat().st_size for file in (project.folder / folder).rglob("*.safetensors"))
    assert stages["Model_Initialization"]["checkpoint_bytes"] == on_disk > 0
    assert stages["Model_Initialization"]["disk_read_bytes"] >= 0
    assert "checkpoint_bytes" not in stages["VAE_Decoding"]
