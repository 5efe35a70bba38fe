"""The Slurm profile on a real cluster of this machine: the report of a local run, and each fault a row of it."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest

from conda_stand_in.channel import PYTHON_X_Y
from conda_stand_in.installation import install_stand_in, packages_of_the_project
from conftest import SMALL, SMALL_DEFAULTS, Project, Run, copy_project, simulated_gpus
from fake_nvml import H200, SECOND
from slurm_cluster import Job, SlurmCluster, wait_for
from wanbench.trace.reader import Trace, read_trace

# The report is what most tests need; pictures would be a job each.
REPORT = "results/report.md"
SLURM = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "1")
# Snakemake, but that it asks Slurm every second: the plugin waits ten seconds longer each time that nothing has ended.
_SNAKEMAKE = """if True:
    from snakemake.cli import main
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    RemoteExecutor.next_seconds_between_status_checks = property(lambda executor: 1, lambda executor, seconds: None)
    main()
    """
# The cluster's one model of GPU.
MODEL = "measure:gpu_model=fake"
# Columns that hold what was measured, so differ from run to run, and the name of the GPU.
MEASURED = re.compile(
    r"(?<!timeout)_s$|_pct$|_(j|w|c|mhz)$|^(sys|process|gpu)_mem_(\w+_)?bytes$|^samples|^step_change|^failed_checks$|^started_at$"
    r"|^gpu_uuid$"
)


@pytest.fixture(scope="module", autouse=True)
def _plugin() -> None:
    found = importlib.util.find_spec("snakemake_executor_plugin_slurm")
    assert found, "snakemake-executor-plugin-slurm is not on the PYTHONPATH: run `make cluster-test`"
    # Not one core alone, as a test process has: what runs here waits most of the time.
    os.sched_setaffinity(0, os.sched_getaffinity(os.getppid()))


def start(project: Project, *arguments: str, **variables: str) -> subprocess.Popen:
    command = [sys.executable, "-c", _SNAKEMAKE, *arguments]
    with (project.folder / "output").open("w") as output:
        simulated = os.pathsep.join([simulated_gpus()["PYTHONPATH"], os.environ["PYTHONPATH"]])
        environment = os.environ | {"SIMULATED_GPUS": H200, "PYTHONPATH": simulated} | variables
        return subprocess.Popen(command, cwd=project.folder, stdout=output, stderr=output, env=environment)


def finish(project: Project, snakemake: subprocess.Popen) -> Run:
    try:
        snakemake.wait(900)
    finally:
        snakemake.kill()
    return Run(snakemake.returncode, project.read("output"))


def hang(project: Project, cases: list[str]) -> dict[str, psutil.Process]:
    """Wait for the measuring processes of cases, and let them do nothing more."""
    job_files = {f"results/attempts/{case}/job.json": case for case in cases}
    found: dict[str, psutil.Process] = {}

    def all_hang() -> bool:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            case = job_files.get((process.info["cmdline"] or [""])[-1])
            if case is not None and process.info["cwd"] == str(project.folder) and case not in found:
                process.send_signal(signal.SIGSTOP)
                found[case] = process
        return len(found) == len(cases)

    wait_for(all_hang)
    return found


def trace_of(case: str) -> str:
    return f"results/traces/{case}.json"


def traces(project: Project, cases: list[str]) -> dict[str, Trace]:
    return {case: read_trace(project.folder / trace_of(case)) for case in cases}


def test_the_tables_are_those_of_a_local_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cluster with accounting that forgets jobs at once, so that the plugin must ask the accounting."""
    cases = {"a": SMALL | {"steps": 4, "offload": "sequential"}, "on_two": SMALL | {"gpus": 2}}
    grid = {"defaults": SMALL_DEFAULTS, "cases": cases}
    local, remote = copy_project(tmp_path / "local"), copy_project(tmp_path / "remote")
    for project in (local, remote):
        project.write_grid(grid)
    local_snakemake = start(local, REPORT, "--cores", "1", SIMULATED_GPUS=f"{H200},{SECOND}")
    # Not in the folder of the test: the paths of Slurm's sockets must not be longer than 108 characters.
    with SlurmCluster(tmp_path_factory.mktemp("slurm") / "cluster", accounting=True) as cluster:
        user = ("--default-resources", "slurm_account=bench", "slurm_partition=gpu")
        run = finish(remote, start(remote, REPORT, *SLURM, "--set-resources", MODEL, *user))
        assert run.code == 0, run.output
        # Two minutes to start a tiny model, and five to spare; 1.25 times 6 GB. On two GPUs twice of all but the time.
        one = "bench|00:07:00|billing=8,cpu=8,gres/gpu=1,mem=7501M,node=1"
        two = "bench|00:07:00|billing=16,cpu=16,gres/gpu=2,mem=15002M,node=1"
        assert sorted(cluster.requests()) == sorted([one, two])
    assert finish(local, local_snakemake).code == 0
    for table in ("cases", "stages"):
        of_local, of_remote = (pd.read_csv(p.folder / f"results/tables/{table}.csv") for p in (local, remote))
        same = [column for column in of_local if not MEASURED.search(column)]
        pd.testing.assert_frame_equal(of_local[same], of_remote[same])
    assert headings(local) == headings(remote)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A cluster without accounting, as the profile's `squeue` is there for."""
    with SlurmCluster(tmp_path_factory.mktemp("slurm") / "cluster", accounting=False) as cluster:
        yield cluster


@dataclass(frozen=True)
class Faults:
    """A run whose jobs met faults. Two of them wait for the end of a minute, in which other tests go on."""

    project: Project
    snakemake: subprocess.Popen
    cases: dict[str, dict]
    jobs: dict[str, Job]
    visible_gpus: dict[str, str]


@pytest.fixture(scope="module")
def faults(cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Faults:
    project = copy_project(tmp_path_factory.mktemp("faults") / "project")
    hanging = ["cancelled", "over", "lost", "late"]
    cases = dict.fromkeys((*hanging, "good", "never"), SMALL) | {"broken": SMALL | {"attention": "xformers"}}
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": cases})
    # Of two minutes, a case gets half: they begin when the others hang. Three of the hanging cases fill the first node.
    resources = (
        "measure:runtime=2 if wildcards.case == 'late' else 5",
        "measure:slurm_extra='' if attempt > 1 else '--begin=now+3600' if wildcards.case == 'never'"
        " else '--nodelist=node2' if wildcards.case == 'lost' else '--nodelist=node1'"
        " + (' --hold' if wildcards.case in ('late', 'good', 'broken') else '')",
    )
    snakemake = start(project, REPORT, *SLURM, "--set-resources", MODEL, *resources)
    processes = hang(project, hanging[:-1])
    wait_for(lambda: cluster.to_pending("late", "scontrol", "release"))
    processes |= hang(project, ["late"])
    visible = {case: process.environ()["CUDA_VISIBLE_DEVICES"] for case, process in processes.items()}
    jobs = {job.comment.rpartition("_")[2]: job for job in cluster.jobs()}
    cluster.stop_controller()
    cluster.start_controller()
    cluster.cancel(jobs["cancelled"])
    cluster.kill_node("node2")
    cluster.start_node("node2")
    cluster.shorten(jobs["over"], minutes=1)
    wait_for(lambda: cluster.to_pending("never", "scancel"))
    for case in ("good", "broken"):
        wait_for(partial(cluster.to_pending, case, "scontrol", "release"))
    return Faults(project, snakemake, cases, jobs, visible)


def test_no_two_cases_have_one_gpu_and_each_uses_that_of_its_job(faults: Faults) -> None:
    jobs = faults.jobs.values()
    assert len({(job.node, job.gpus) for job in jobs}) == len(jobs) == 4
    assert faults.visible_gpus == {case: f"GPU-{job.node}-{job.gpus}" for case, job in faults.jobs.items()}


def test_jobs_that_outlive_a_killed_snakemake_are_waited_for(cluster: SlurmCluster, tmp_path: Path) -> None:
    """Its lock stays, since its jobs run on elsewhere; whoever removes it gets no two attempts at one case."""
    project = copy_project(tmp_path / "project")
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL}})
    arguments = (trace_of("a"), *SLURM, "--set-resources", MODEL)
    first = start(project, *arguments)
    (outliving,) = hang(project, ["a"]).values()
    first.kill()
    first.wait()
    refused = finish(project, start(project, *arguments))
    assert refused.code == 1
    assert "LockException" in refused.output
    assert finish(project, start(project, *arguments, "--unlock")).code == 0
    second = start(project, *arguments)
    log = project.folder / "logs/measure/a.log"
    wait_for(lambda: log.exists() and "waits: an earlier attempt at this case still runs" in log.read_text("utf-8"))
    assert len([job for job in cluster.jobs() if job.comment.endswith("_a")]) == 2
    assert outliving.is_running()
    outliving.resume()
    run = finish(project, second)
    assert run.code == 0, run.output
    assert read_trace(project.folder / trace_of("a")).status == "ok"


def test_with_conda_jobs_run_in_their_environment(cluster: SlurmCluster, tmp_path: Path) -> None:
    """With the stand-in for conda, which proves nothing about a real one; see tests/workflow/test_conda.py."""
    conda = install_stand_in(tmp_path / "conda", packages_of_the_project())
    project = copy_project(tmp_path / "project")
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL}})
    for file in (project.folder / "envs").glob("*.yaml"):
        file.write_text(re.sub("python=.*", f"python={PYTHON_X_Y}", file.read_text("utf-8")), "utf-8")
    targets = (trace_of("a"), "results/tables/cases.csv")
    arguments = (*targets, *SLURM, "--use-conda", "--set-resources", MODEL)
    path = os.pathsep.join([str(conda), os.environ["PATH"]])
    run = finish(project, start(project, *arguments, PATH=path))
    assert run.code == 0, run.output
    environment = read_trace(project.folder / trace_of("a")).environment
    assert environment["software_deployment"] == "conda"
    assert (project.folder / ".snakemake/conda" / environment["conda_env"]).is_dir()


def test_every_fault_ends_in_its_row_and_the_next_run_finishes_the_rest(faults: Faults) -> None:
    project, cases = faults.project, faults.cases
    run = finish(project, faults.snakemake)
    assert run.code == 1, run.output
    found = traces(project, list(cases))
    killed = dict.fromkeys(["cancelled", "lost", "over", "never"], "killed")
    expected = killed | {"late": "timeout", "good": "ok", "broken": "error"}
    assert {case: trace.status for case, trace in found.items()} == expected, run.output
    # Half of its job's time, less what that had spent before.
    assert re.match(r"ended after ([345]\d|60) s, as its job had no more time", found["late"].error["message"])
    assert all(found[case].total_duration_s > 0 for case in ("cancelled", "lost"))
    assert found["over"].total_duration_s > 30
    assert found["never"].error["message"].startswith("nothing was measured")
    report = project.read("results/report.md")
    assert all(f"## Case: {case}\n" in report for case in cases)

    # One of each kind again: killed, out of time, failed and good.
    mended = dict.fromkeys(("cancelled", "late", "broken", "good"), SMALL)
    for case in cases.keys() - mended:
        (project.folder / trace_of(case)).unlink()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": mended})
    again = finish(project, start(project, REPORT, *SLURM, "--set-resources", MODEL))
    assert again.code == 0, again.output
    assert {case for rule, case in again.jobs if rule == "measure"} == set(mended) - {"good"}
    assert {trace.status for trace in traces(project, list(mended)).values()} == {"ok"}


def headings(project: Project) -> list[str]:
    """Sections of the report; which findings it explains in their own depends on times."""
    return re.findall("^##? .*$", project.read("results/report.md"), re.M)
