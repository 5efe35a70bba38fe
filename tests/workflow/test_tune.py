"""`snakemake tune` with cases that have no model: killed, started again, and finished."""

import hashlib
import json
import os
import re
import sys

import psutil
import pytest

from attempts import wait_for
from conftest import Project, copy_project, simulated_work
from example_cases import resolve
from wanbench.cases.yaml_file import read_yaml

# All that leaves nothing to search but to confirm the stock settings: test_tuning_search.py plays whole ones.
GIVEN = {"model": "TI2V-5B", "scale": "tiny", "size": "64*64", "frames": 5, "unofficial_size": True, "dtype": "float32"}
GIVEN |= {"attention": "native", "compile": "none", "timesteps": "uniform", "vae_memory_format": "contiguous"}
OPTIONS = ("--config", "name=small", *(f"{key}={value}" for key, value in GIVEN.items()))
TRIALS = ("stock", "stock_confirmed")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_project(tmp_path_factory.mktemp("tune") / "project")


def test_killed_and_started_again_it_goes_on_to_the_answer(project: Project) -> None:
    folder = project.folder / "results/tune/small"
    stock = folder / "results/traces/stock.json"
    hold, killed_in = project.folder / "hold", f"attempt.case.name == {TRIALS[1]!r}"
    work = simulated_work(f"time.sleep(0.01)\nwhile {killed_in} and Path({str(hold)!r}).exists(): time.sleep(0.01)")
    hold.touch()
    command = [sys.executable, "-m", "snakemake", "tune", "--cores", "1", *OPTIONS]
    with (project.folder / "output.txt").open("w") as output:
        run = psutil.Popen(command, cwd=project.folder, stdout=output, stderr=output, env=os.environ | work)
        wait_for(lambda: (folder / f"logs/measure/{TRIALS[1]}.log").exists() or run.poll() is not None)
        assert run.is_running(), project.read("output.txt")
        started = run.children(recursive=True)
        run.kill()
        run.wait()
    # What it had started ends with it, the inner run and its case too.
    _, alive = psutil.wait_procs(started, timeout=300)
    assert not alive
    assert not (folder / f"results/traces/{TRIALS[1]}.json").exists()
    before = hashlib.sha256(stock.read_bytes()).hexdigest()

    hold.unlink()
    again = project.snakemake("tune", *OPTIONS, environment=work)
    assert again.code == 0, again.output
    assert re.search(rf"\[tune\] \d: {TRIALS[1]} \(best so far ", again.output)
    assert "[tune] 1: " not in again.output
    assert hashlib.sha256(stock.read_bytes()).hexdigest() == before

    result = json.loads(project.read("results/tune/small.json"))
    assert [trial["name"] for trial in result["trials"]] == list(TRIALS)
    winner = result["exact"]
    assert winner["name"] == TRIALS[0]
    assert winner["answer"]["video_s"] > 0
    # Five steps and all else as the winner has it.
    assert read_yaml(folder / "grid.yaml")["cases"][TRIALS[1]]["steps"] == 5
    assert result["confirmed"]["answer"]["status"] == "ok"
    page = project.read("results/tune/small.md")
    assert winner["yaml"] in page

    (project.folder / "tuned.yaml").write_text(winner["yaml"], "utf-8")
    settings = read_yaml(project.folder / "tuned.yaml")["cases"]["tuned"]
    assert (resolve(settings).steps, resolve(settings).size) == (50, "64*64")


def test_what_is_not_a_key_is_refused_before_anything_runs(project: Project) -> None:
    run = project.snakemake("tune", "--config", "model=TI2V-5B", "budget=5")
    assert run.code == 1
    assert "--config: unknown key 'budget' (did you mean 'budget_min'?)" in run.output
    assert not run.jobs
    # Elsewhere a key of a case has no effect.
    plain = project.snakemake("--dry-run", "--config", "model=TI2V-5B")
    assert "--config: model has no effect" in plain.output
