"""What of host, container and environment changes speed, and that nothing of it names a person or a machine."""

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
from wanbench.telemetry import cgroup
from wanbench.telemetry.cgroup import Cgroup
from wanbench.telemetry.host import HostSource
from wanbench.util import redaction

GRACE = "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd4f\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("model name\t: Intel(R) Xeon(R) Platinum 8480+\n", "Intel(R) Xeon(R) Platinum 8480+"),
        (GRACE, "Neoverse-V2"),
        (GRACE.replace("0xd4f", "0x123"), "ARM implementer 0x41 part 0x123"),
        ("cpu\t\t: POWER9, altivec supported\nclock\t\t: 3800MHz\n", "POWER9, altivec supported"),
        ("processor 0: version = FF,  machine = 8561\n", "version = FF,  machine = 8561"),
        ("isa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\n", "sifive,u74-mc"),
        # An architecture is no name of a processor.
        ("", None),
    ],
)
def test_the_processor_has_a_name_on_each_architecture(tmp_path: Path, text: str, name: str | None) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{text}")
    assert cpu_name(tmp_path) == name


def test_variables_are_known_by_family_and_new_ones_with_them() -> None:
    kept = {
        "TORCH_OF_TOMORROW": "yes",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True,max_split_size_mb:512",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "OMP_PLACES": "{0:4}",
        "GOMP_CPU_AFFINITY": "0 3 1-2",
    }
    others = {"HOME": "/home/alice", "NVIDIA_VISIBLE_DEVICES": "0", "CCACHE_DIR": "/c", "PATH": "/bin", "LANG": "C"}
    known = dict.fromkeys(("OMP_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR", "CUDA_VISIBLE_DEVICES", "CUDA_HOME"), "2")
    assert variables_of_speed(kept | others | known) == dict(sorted(kept.items()))


def test_what_may_be_a_path_a_secret_an_address_or_a_name_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction._rules.cache_clear()
    monkeypatch.setenv("HOSTNAME", "somemachine")
    values = {
        "LD_PRELOAD": "/usr/lib/libjemalloc.so.2",
        "CUDA_CACHE_PATH": "C:\\cache",
        "TORCHELASTIC_API_KEY": "1",
        "TORCH_SOMETHING": "0123456789abcdefABCDEF0123456789",
        "NCCL_COMM_ID": "10.0.0.7:2222",
        "NCCL_HOSTID": "somemachine",
        "TORCH_OWNER": "alice@example.org",
        "TORCH_LOGS": "x" * 101,
        "MKL_VERBOSE": "1\n2",
    }
    assert variables_of_speed(values) == dict.fromkeys(values)
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


GB = 10**9
PAGES = "9223372036854771712"
CPU = "cpu,cpuacct"


def layout(folder: Path, groups: str, mounts: str, files: dict[str, str]) -> Cgroup:
    """A process in these groups, with these mounts and files."""
    (folder / "proc").mkdir(parents=True)
    (folder / "proc/cgroup").write_text(groups)
    (folder / "proc/mountinfo").write_text(mounts)
    for name, text in files.items():
        file = folder / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return Cgroup(folder / "proc", str(folder))


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = "".join(
    f"{32 + i} 31 0:{29 + i} {{top}} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
    for i, name in enumerate(("cpu,cpuacct", "memory"))
)
CASES = {
    "version 2 in a namespace": ("0::/\n", V2, {"cpu.max": "150000 100000", "memory.max": "8000000000"}, (1.5, 8 * GB)),
    "version 2, without limits": ("0::/\n", V2, {"cpu.max": "max 100000", "memory.max": "max"}, (None, None)),
    "version 2, the outer group is tighter": (
        "0::/job/step\n",
        V2,
        {"job/cpu.max": "2 1", "job/step/cpu.max": "max 100000", "job/memory.max": "7", "job/step/memory.max": "9"},
        (2.0, 7),
    ),
    "version 1 of Docker, which mounts its own group": (
        "3:memory:/docker/a1\n2:cpu,cpuacct:/docker/a1\n",
        V1.format(top="/docker/a1"),
        {f"{CPU}/cpu.cfs_quota_us": "5", f"{CPU}/cpu.cfs_period_us": "10", "memory/memory.limit_in_bytes": "15"},
        (0.5, 15),
    ),
    "version 1, without limits": (
        "3:memory:/a\n2:cpu,cpuacct:/a\n",
        V1.format(top="/"),
        {f"{CPU}/a/cpu.cfs_quota_us": "-1", f"{CPU}/a/cpu.cfs_period_us": "9", "memory/a/memory.limit_in_bytes": PAGES},
        (None, None),
    ),
    "no control groups": ("", "22 1 0:21 / / rw - ext4 /dev/sda rw\n", {}, (None, None)),
    "a group that is not mounted": ("0::/../other\n", V2, {"memory.max": "5"}, (None, 5)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_limits_are_the_tightest_of_the_group_and_those_around_it(tmp_path: Path, case: str) -> None:
    groups, mounts, files, expected = CASES[case]
    group = layout(tmp_path, groups, mounts, files)
    assert (group.quota_cores(), group.limit_bytes()) == expected


def test_what_the_limited_group_uses_is_without_cache_that_is_not_in_use(tmp_path: Path) -> None:
    v2 = {"memory.max": "900", "memory.current": "500", "memory.stat": "anon 1\ninactive_file 120", "cpu.max": "1 2"}
    group = layout(tmp_path / "v2", "0::/\n", V2, v2 | {"cpu.stat": "usage_usec 2500000\nnr_throttled 3"})
    assert (group.used_bytes(), group.cpu_s()) == (380, 2.5)
    v1 = {"memory/memory.limit_in_bytes": "900", "memory/memory.usage_in_bytes": "500"}
    v1 |= {"memory/memory.stat": "inactive_file 7\ntotal_inactive_file 100", f"{CPU}/cpuacct.usage": "3000000000"}
    v1 |= {f"{CPU}/cpu.cfs_quota_us": "50000", f"{CPU}/cpu.cfs_period_us": "100000"}
    group = layout(tmp_path / "v1", "3:memory:/d\n2:cpu,cpuacct:/d\n", V1.format(top="/d"), v1)
    assert (group.used_bytes(), group.cpu_s()) == (400, 3.0)
    nested = {"job/memory.max": "7", "job/memory.current": "5", "job/step/memory.max": "9"}
    group = layout(tmp_path / "nested", "0::/job/step\n", V2, nested | {"job/step/memory.current": "4"})
    assert group.used_bytes() == 5
    unlimited = layout(tmp_path / "unlimited", "0::/\n", V2, {"memory.current": "500", "memory.max": "max"})
    assert (unlimited.used_bytes(), unlimited.cpu_s()) == (None, None)


@pytest.mark.parametrize(("file", "head"), [("memory.events", "max 3"), ("memory.oom_control", "under_oom 0")])
def test_processes_that_the_kernel_ended_for_want_of_memory_are_counted(tmp_path: Path, file: str, head: str) -> None:
    group = layout(tmp_path, "0::/\n", V2, {"memory.max": "9", file: f"{head}\noom_kill 2"})
    assert group.memory_kills() == 2
    assert layout(tmp_path / "none", "0::/\n", V2, {}).memory_kills() == 0


def test_cores_and_memory_are_the_machines_or_what_the_container_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0))
    for quota, limit, expected in ((None, None, (cores, total)), (0.5, 5, (0.5, 5)), (1000.0, 10**18, (cores, total))):
        monkeypatch.setattr(Cgroup, "quota_cores", lambda self, quota=quota: quota)
        monkeypatch.setattr(Cgroup, "limit_bytes", lambda self, limit=limit: limit)
        assert (cgroup.usable_cores(), cgroup.usable_memory_bytes()) == expected


def test_readings_tell_the_container_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    used_s = iter([10.0, 10.0 + 1e9])
    monkeypatch.setattr(Cgroup, "quota_cores", lambda self: 2.0)
    monkeypatch.setattr(Cgroup, "used_bytes", lambda self: 7)
    monkeypatch.setattr(Cgroup, "cpu_s", lambda self: next(used_s))
    host = HostSource(os.getpid())
    first, second = host.read(), host.read()
    assert "container_cpu_pct" not in first
    assert second["container_cpu_pct"] > 1000
    assert second["container_mem_bytes"] == 7 < second["sys_mem_bytes"]
