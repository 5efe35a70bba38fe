"""profiles/kubernetes with the real executor plugin, against a stand-in for the cluster (kubernetes_cluster.py)."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes_cluster import Cluster

from conftest import ROOT, SMALL, SMALL_DEFAULTS, Run, copy_project
from wanbench.cases.resolve import resolve_cases
from wanbench.estimate.resources import resources_of

# A file system in the place of S3, which nobody serves here.
STORAGE = "snakemake-storage-plugin-fs==1.1.3"
GRID = {"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL, "slow": SMALL | {"timeout_s": 1, "gpus": 2}}}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Python that has the plugins and all that this one has, and the wheels that each pod installs."""
    lines = (ROOT / "requirements-kubernetes.txt").read_text("utf-8").splitlines()
    (executor,) = [line for line in lines if line.startswith("snakemake-executor-plugin-kubernetes")]
    folder = tmp_path_factory.mktemp("plugins")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "all_that_this_one_has.pth").write_text(sysconfig.get_path("purelib"))
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--python", python, "install", executor, STORAGE], check=True)
    subprocess.run([*pip, "download", "--dest", folder / "wheels", STORAGE], check=True)
    return folder


@dataclass(frozen=True)
class Submitter:
    """A checkout from which Snakemake submits to a cluster."""

    folder: Path
    python: Path
    cluster: Cluster

    def snakemake(self, *arguments: str) -> Run:
        profile = ["--workflow-profile", "profiles/kubernetes", "--seconds-between-status-checks", "1"]
        storage = ["--default-storage-provider", "fs", "--default-storage-prefix", str(self.storage)]
        pods = ["--container-image", "wan22", "--kubernetes-persistent-volumes", f"results:{self.storage}"]
        command = [self.python, "-m", "snakemake", *profile, *storage, *pods, *arguments]
        config = self.folder.with_name("kubeconfig")
        self.cluster.write_kubeconfig(config)
        # Slurm's plugin, where that is tested too, is none of this.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment | {"KUBECONFIG": str(config)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1200,
        )
        return Run(done.returncode, done.stdout)

    @property
    def storage(self) -> Path:
        return self.folder.with_name("storage")


@pytest.fixture
def submitter(plugins: Path, tmp_path: Path) -> Iterator[Submitter]:
    project = copy_project(tmp_path / "project")
    project.write_grid(GRID)
    # What Git tracks is what pods get.
    for arguments in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *arguments], cwd=project.folder, check=True)
    (tmp_path / "pods").mkdir()
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(plugins / "wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    path = f"{plugins / 'venv/bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    cluster = Cluster(tmp_path / "pods", pip | {"PATH": path, "HOME": str(tmp_path)})
    cluster.start()
    yield Submitter(project.folder, plugins / "venv/bin/python", cluster)
    cluster.stop()


def test_the_grid_is_measured_and_reported_in_pods(submitter: Submitter) -> None:
    """Each pod has an empty folder and what Snakemake brings there, as without a shared file system."""
    run = submitter.snakemake()
    assert submitter.cluster.unknown == []
    # What failed is said where the run was started.
    assert "slow: timeout in Process_Startup: ended after timeout_s = 1 s" in run.output
    assert run.code == 1
    traces = {file.stem: json.loads(file.read_text("utf-8")) for file in submitter.storage.glob("results/traces/*")}
    assert {case: trace["status"] for case, trace in traces.items()} == {"a": "ok", "slow": "timeout"}
    report = (submitter.storage / "results/report.md").read_text("utf-8")
    assert "## Case: a\n" in report
    assert "## Case: slow\n" in report
    page = (submitter.storage / "results/report.html").read_text("utf-8")
    # Both timelines, the steps of the case that had some, and the stages of both.
    assert page.count('src="data:image/svg+xml,') == 4
    assert not (submitter.folder / "results").exists()

    containers = [job["spec"]["template"]["spec"]["containers"][0] for job in submitter.cluster.jobs.values()]
    assert all({"name": "results", "mountPath": str(submitter.storage)} in pod["volumeMounts"] for pod in containers)
    asked_for = [pod["resources"] for pod in containers if "--allowed-rules measure " in pod["args"][1]]
    assert (len(asked_for), len(containers)) == (2, 2)
    of_measuring = sorted(asked_for, key=lambda resources: resources["requests"]["nvidia.com/gpu"])
    for case, gpus, resources in zip(("a", "slow"), "12", of_measuring):
        asked, most = resources["requests"], resources["limits"]
        # A server refuses a GPU whose limit is another than what is asked for.
        assert asked["nvidia.com/gpu"] == most["nvidia.com/gpu"] == gpus
        assert asked["cpu"] == "7600m"
        assert asked["memory"] == most["memory"] == f"{asked_mem_mb(case)}M"

    planned = submitter.snakemake("--dry-run")
    assert planned.jobs == {("outcome", "")}
    planned = submitter.snakemake("--dry-run", "--forcerun", "results/traces/slow.json")
    assert ("measure", "slow") in planned.jobs
    assert ("measure", "a") not in planned.jobs


def test_a_pod_that_dies_ends_the_run_with_an_error_and_the_next_run_measures_the_case(submitter: Submitter) -> None:
    """The plugin asks for the log of a previous container, which a pod that is never restarted does not have."""
    del submitter.cluster.environment["PATH"]
    run = submitter.snakemake()
    assert run.code == 1
    assert "At least one job did not complete successfully" in run.output
    assert {job for job in submitter.snakemake("--dry-run").jobs if job[0] == "measure"} == {
        ("measure", "a"),
        ("measure", "slow"),
    }


def asked_mem_mb(name: str) -> int:
    (case,) = (case for case in resolve_cases(GRID, "grid") if case.name == name)
    return resources_of(case, None, None).mem_mb
