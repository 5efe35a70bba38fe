"""What of the host and of the environment changes speed, and that nothing of it names a person or a machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from conftest import ROOT
from wanbench.measure.environment import cpu_name, host_facts
from wanbench.measure.variables import variables_of_speed
from wanbench.util import redaction

X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\n"
GRACE = "processor\t: 0\nBogoMIPS\t: 2000.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd4f\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800MHz\n"
S390 = "vendor_id       : IBM/S390\nprocessor 0: version = FF,  identification = 123456,  machine = 8561\n"
RISCV = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (X86, "Intel(R) Xeon(R) Platinum 8480+"),
        (GRACE, "Neoverse-V2"),
        (GRACE.replace("0xd4f", "0x123"), "ARM implementer 0x41 part 0x123"),
        (POWER, "POWER9, altivec supported"),
        (S390, "version = FF,  identification = 123456,  machine = 8561"),
        (RISCV, "sifive,u74-mc"),
        # An architecture is no name of a processor.
        ("processor\t: 0\n", None),
    ],
)
def test_the_processor_has_a_name_on_each_architecture(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_name(tmp_path) == name


def test_variables_are_known_by_family_and_new_ones_with_them() -> None:
    kept = {
        "CUDA_LAUNCH_BLOCKING": "1",
        "TORCHINDUCTOR_MAX_AUTOTUNE": "1",
        "TORCH_OF_TOMORROW": "yes",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True,max_split_size_mb:512",
        "PYTORCH_ALLOC_CONF": "backend:cudaMallocAsync",
        "ATEN_CPU_CAPABILITY": "default",
        "NVIDIA_TF32_OVERRIDE": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NCCL_P2P_DISABLE": "1",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OMP_PLACES": "{0:4}",
        "GOMP_CPU_AFFINITY": "0 3 1-2",
        "MALLOC_ARENA_MAX": "2",
        "TRITON_INTERPRET": "1",
        "CUDNN_LOGLEVEL_DBG": "3",
    }
    others = {"HOME": "/home/alice", "NVIDIA_VISIBLE_DEVICES": "0", "CCACHE_DIR": "/c", "PATH": "/bin", "LANG": "C"}
    known = dict.fromkeys(("OMP_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR", "CUDA_VISIBLE_DEVICES", "CUDA_HOME"), "2")
    assert variables_of_speed(kept | others | known) == dict(sorted(kept.items()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2"),
        ("TORCH_EXTENSIONS_DIR", "~/extensions"),
        ("CUDA_CACHE_PATH", "C:\\cache"),
        ("TORCHELASTIC_API_KEY", "1"),
        ("NCCL_TOKEN", "short"),
        ("TORCH_SOMETHING", "0123456789abcdefABCDEF0123456789"),
        ("NCCL_COMM_ID", "10.0.0.7:2222"),
        ("NCCL_HOSTID", "somemachine"),
        ("TORCH_OWNER", "alice@example.org"),
        ("TORCH_LOGS", "x" * 101),
        ("MKL_VERBOSE", "1\n2"),
    ],
)
def test_what_may_be_a_path_a_secret_an_address_or_a_name_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    redaction._rules.cache_clear()
    monkeypatch.setenv("HOSTNAME", "somemachine")
    assert variables_of_speed({name: value}) == {name: None}
    redaction._rules.cache_clear()


def test_a_trace_has_variables_and_niceness_that_the_process_was_started_with_and_the_cores_it_may_run_on() -> None:
    """Not what libraries set: torch writes CUDA_MODULE_LOADING into its own environment."""
    code = "import os, json\nos.environ['CUDA_LATER'] = '1'\nfrom wanbench.measure.environment import host_facts\n"
    code += "print(json.dumps(host_facts()))"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "workflow/scripts"),
        "CUDA_LAUNCH_BLOCKING": "1",
    }
    before = os.getpriority(os.PRIO_PROCESS, 0)
    command = ["nice", "-n", "3", sys.executable, "-c", code]
    facts = json.loads(subprocess.check_output(command, env=environment, text=True))
    assert facts["variables"] == {"CUDA_LAUNCH_BLOCKING": "1"}
    assert facts["cpu_niceness"] == min(19, before + 3)
    assert facts["cpu_cores_allowed"] == len(os.sched_getaffinity(0))


def test_what_the_system_refuses_to_tell_of_the_process_costs_no_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: psutil.Process) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "environ", refuse)
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    assert host_facts()["variables"]["CUDA_LAUNCH_BLOCKING"] == "1"
