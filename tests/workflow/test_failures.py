"""Cases that fail: rows of the report, a run that says so, and a next run that tries only them again."""

import copy
import re
import shutil
import threading
import time
from pathlib import Path

import psutil
import pytest

from checkpoints import write_hollow_checkpoint
from conftest import SMALL, SMALL_DEFAULTS, Project, Run, copy_project
from wanbench.trace.reader import read_trace

GRID = {
    "defaults": SMALL_DEFAULTS,
    "cases": {
        "a_good": SMALL,
        # Terabytes of latents: the allocator refuses at once.
        "b_too_big": SMALL | {"size": "65536*65536", "frames": 4001},
        "c_too_slow": SMALL | {"timeout_s": 1},
        "d_broken": {"model": "TI2V-5B", "size": "64*64", "frames": 5, "weights": "pretrained", "checkpoint": "broken"},
        "e_lost": SMALL,
    },
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("failures") / "project")
    write_hollow_checkpoint(project.folder / "broken")
    project.write_grid(GRID)
    return project


@pytest.fixture(scope="module")
def run(project: Project) -> Run:
    threading.Thread(target=kill_job_of, args=(project, "e_lost"), daemon=True).start()
    return project.snakemake()


def kill_job_of(project: Project, case: str) -> None:
    """Kill what measures a case, and with it the process that would write its trace."""
    job_file = f"results/attempts/{case}/job.json"
    while True:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if process.info["cwd"] == str(project.folder) and job_file in (process.info["cmdline"] or []):
                process.parent().kill()
                return
        time.sleep(0.1)


def status(project: Project, case: str) -> str:
    return read_trace(project.folder / "results/traces" / f"{case}.json").status


def test_every_case_is_tried_and_the_report_is_complete(project: Project, run: Run) -> None:
    assert [status(project, case) for case in GRID["cases"]] == ["ok", "oom", "timeout", "error", "killed"]
    report = project.read("results/report.md")
    for case in GRID["cases"]:
        assert f"## Case: {case}\n" in report
        assert case in project.read(f"results/plots/cases/{case}/pictures.json")
    assert "**Ended with status oom in TI2V_Preprocess**" in report
    assert "**Ended with status timeout in Process_Startup**: ended after timeout\\_s = 1 s" in report


def test_the_run_fails_and_says_which_case_and_why(run: Run) -> None:
    assert run.code == 1
    assert "c_too_slow: timeout in Process_Startup: ended after timeout_s = 1 s" in run.output
    assert "d_broken: error in Model_Initialization: " in run.output
    assert "logs/measure/d_broken.log" in run.output
    assert re.search(r"^e_lost: killed( in Process_Startup)?: ended before it could write a trace: ", run.output, re.M)
    assert "b_too_big: oom" not in run.output


def test_the_next_run_tries_only_the_failed_cases_again(project: Project, run: Run) -> None:
    report = {("fidelity", ""), ("tabulate", ""), ("report", ""), ("page", ""), ("outcome", ""), ("plots", "")}
    failed = {("measure", "c_too_slow"), ("measure", "d_broken")}
    lost = {("measure", "e_lost")}
    assert project.plan() == failed | lost | report
    again = project.snakemake("results/traces/c_too_slow.json", "results/traces/e_lost.json")
    assert again.code == 1
    assert again.jobs == {("measure", "c_too_slow")} | lost
    assert status(project, "e_lost") == "ok"
    assert project.plan() == failed | report


def test_a_mended_case_ends_the_failures_and_is_not_tried_again(project: Project, run: Run) -> None:
    mended = copy.deepcopy(GRID)
    mended["cases"]["c_too_slow"] = SMALL
    del mended["cases"]["d_broken"]
    (project.folder / "results/traces/d_broken.json").unlink()
    project.write_grid(mended)
    done = project.snakemake("results/traces/c_too_slow.json")
    assert done.code == 0, done.output
    assert done.jobs == {("measure", "c_too_slow")}
    assert status(project, "c_too_slow") == "ok"
    assert {job for job in project.plan() if job[0] == "measure"} == set()


def test_the_last_good_trace_outlives_a_failed_attempt_and_can_be_put_back(project: Project, run: Run) -> None:
    good = Path(project.folder, "results/last_good/a_good.json").read_bytes()
    worse = copy.deepcopy(GRID)
    worse["cases"] = {"a_good": SMALL | {"timeout_s": 1}}
    project.write_grid(worse)
    assert project.snakemake("results/traces/a_good.json").code == 1
    assert status(project, "a_good") == "timeout"
    assert Path(project.folder, "results/last_good/a_good.json").read_bytes() == good
    worse["cases"] = {"a_good": SMALL}
    project.write_grid(worse)
    shutil.copy(project.folder / "results/last_good/a_good.json", project.folder / "results/traces")
    assert project.snakemake("--touch", "results/traces/a_good.json").code == 0
    assert {rule for rule, _ in project.plan()} >= {"tabulate", "report"}
    assert ("measure", "a_good") not in project.plan()
