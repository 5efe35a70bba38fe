"""Env files, and the proof that a job runs in what was made from them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conda_stand_in.channel import Package, pinned
from conda_stand_in.installation import install_stand_in
from conftest import ROOT
from wanbench.measure.environment import software_and_hardware
from wanbench.util.job_entry import CONDA, NONE, enter_environment

WITH_PACKAGE = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
ENV_FILES = [ROOT / "envs" / name for name in ("measure.yaml", "report.yaml")]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this Python takes for its own, made from envs/report.yaml."""
    prefix = tmp_path / "0f1e2d3c"
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "path", ["", str(prefix / "lib"), str(ROOT / "workflow/scripts"), "/usr/lib/python3"])
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    monkeypatch.setenv("PYTHONNOUSERSITE", "")
    Path(f"{prefix}.yaml").write_bytes((ROOT / "envs/report.yaml").read_bytes())
    return prefix


@pytest.mark.parametrize("log", ["log", "/dev/full"])
def test_a_full_disk_ends_a_job_with_one_line(tmp_path: Path, log: str) -> None:
    code = (
        "import os, errno; from wanbench.util.job_entry import NONE, enter_job\n"
        "config = {'snakemake_pid': os.getpid(), 'software_deployment': NONE}\n"
        f"enter_job('envs/report.yaml', config, {log!r})\n"
        "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=WITH_PACKAGE, timeout=300, text=True, capture_output=True)
    assert done.returncode == 1
    (line,) = (done.stderr if log == "/dev/full" else (tmp_path / log).read_text()).splitlines()
    assert line.startswith("No space left on device: make room")


def test_a_job_whose_streams_are_closed_has_streams_all_the_same(tmp_path: Path) -> None:
    """Else the next file that it opened would be its standard error, and a line to the terminal an AttributeError."""
    code = (
        "import os, sys; from wanbench.util.job_entry import NONE, enter_job\n"
        "enter_job('envs/measure.yaml', {'snakemake_pid': os.getpid(), 'software_deployment': NONE})\n"
        "sys.stderr.write('x'); print('y'); sys.stdin.read()\n"
        "with open('log', 'w') as log: print(log.fileno(), file=log)\n"
    )
    command = ["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code]
    assert subprocess.run(command, cwd=tmp_path, env=WITH_PACKAGE, timeout=300).returncode == 0
    assert int((tmp_path / "log").read_text()) > 2


def test_an_environment_holds_a_job_and_what_it_starts_and_one_of_another_file_is_refused(environment: Path) -> None:
    """That of no file, tests/workflow/test_conda.py."""
    before = list(sys.path)
    assert enter_environment("envs/report.yaml", NONE) is None
    assert (sys.path, os.environ["PYTHONPATH"]) == (before, "/somewhere/else")
    assert enter_environment("envs/report.yaml", CONDA) == "0f1e2d3c"
    assert sys.path == [str(environment / "lib"), str(ROOT / "workflow/scripts")]
    assert "PYTHONPATH" not in os.environ
    assert os.environ["PYTHONNOUSERSITE"] == "1"
    Path(f"{environment}.yaml").write_bytes((ROOT / "envs/measure.yaml").read_bytes())
    with pytest.raises(SystemExit, match=r"envs/report\.yaml: this job was to run in the conda environment of this"):
        enter_environment("envs/report.yaml", CONDA)


def test_a_measured_process_in_another_environment_than_its_supervisor_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="not in the conda environment 0f1e2d3c"):
        software_and_hardware(torch.device("cpu"), "0f1e2d3c")


def test_a_machine_with_a_gpu_gets_the_cuda_build_of_pytorch(tmp_path: Path) -> None:
    """Of empty packages under the names and versions of the env files, and by `CONDA_OVERRIDE_CUDA`.

    Not proved: that conda-forge has a CUDA build of this version which fits a driver, and that it runs.
    """
    pins = {name: version for file in ENV_FILES for name, version in pinned(file).items()}
    pytorch, python = pins.pop("pytorch"), pins.pop("python")
    packages = [Package(name, version, depends=("python",)) for name, version in pins.items()]
    packages += [Package("python", f"{python}.1"), Package("pip", "1")]
    # conda-forge's recipe adds 100 to the number of builds with MKL and 200 to that of builds with CUDA.
    packages.append(Package("pytorch", pytorch, "cpu_generic_0", 0, ("python",)))
    packages.append(Package("pytorch", pytorch, "cpu_mkl_100", 100, ("python",)))
    packages.append(Package("pytorch", pytorch, "cuda130_mkl_300", 300, ("python", "__cuda")))
    conda = install_stand_in(tmp_path / "conda", packages) / "conda"
    for cuda, build in (("13.0", "cuda130_mkl_300"), ("", "cpu_mkl_100")):
        prefix = tmp_path / f"env{cuda}"
        command = [conda, "env", "create", "--quiet", "--no-default-packages"]
        command += ["--file", ROOT / "envs/measure.yaml", "--prefix", prefix]
        subprocess.run(command, check=True, env=os.environ | {"CONDA_OVERRIDE_CUDA": cuda})
        (record,) = (prefix / "conda-meta").glob("pytorch-*.json")
        assert json.loads(record.read_text("utf-8"))["build"] == build


def test_the_library_of_attention_and_convolutions_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another cuDNN is another kernel, though torch is the same."""
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    assert software_and_hardware(torch.device("cpu"), None)["packages"]["cudnn"] == "9.10.2"
