"""A Slurm cluster of this machine alone, for as long as a test needs it: real daemons, made-up nodes and GPUs.

Jobs see the GPUs of their node through tests/simulated_driver, where that is on the PYTHONPATH.

Needs root and Debian's slurmctld, slurmd, slurm-client, munge, slurmdbd and mariadb-server.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from conftest import free_port, listens

NODES, GPUS_PER_NODE = 2, 3
# The plugin takes SLURM_CONF out of its jobs' environment, so the configuration must lie where Slurm looks for it.
_ETC = Path("/etc/slurm")
_PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sbatch", "slurmdbd", "mariadbd", "mariadb-install-db")
_PR_SET_PDEATHSIG = 1  # prctl(2)

_SLURM_CONF = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
KillWait=5
MinJobAge={min_job_age_s}
JobAcctGatherType=jobacct_gather/none
TaskProlog={folder}/task_prolog
GresTypes=gpu
{accounting}
{nodes}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Each node has GPUs of its own.
_TASK_PROLOG = f"""#!/bin/sh
echo "export SIMULATED_GPUS={",".join(f"GPU-$SLURMD_NODENAME-{number}" for number in range(GPUS_PER_NODE))}"
"""
_ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu"""
_SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


class SlurmCluster:
    """Starts when it is entered; when it is left, every process and file of it is gone."""

    def __init__(self, folder: Path, accounting: bool) -> None:
        """With accounting, which keeps them, Slurm itself forgets jobs as soon as they have ended."""
        self._folder, self._accounting = folder, accounting
        self._nodes = [f"node{number + 1}" for number in range(NODES)]
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "SlurmCluster":
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        assert not missing, f"missing: {', '.join(missing)}; see tests/slurm_cluster.py for the Debian packages"
        assert os.geteuid() == 0, "the test starts Slurm's daemons, and needs root for that"
        assert not (_ETC / "slurm.conf").exists(), f"{_ETC}/slurm.conf: there is a Slurm cluster here already"
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            _run("scancel", "--user=root", timeout_s=30)
        for name in reversed(self._daemons):
            self._daemons[name].terminate()
            try:
                self._daemons[name].wait(10)
            except subprocess.TimeoutExpired:
                self._daemons[name].kill()
        _kill(process for process, command, _ in _processes() if str(self._folder) in command)
        for file in ("slurm.conf", "gres.conf", "slurmdbd.conf"):
            (_ETC / file).unlink(missing_ok=True)

    def jobs(self) -> list["Job"]:
        """All jobs that run; one that ends between the two questions is not among them."""
        found = [_job(number, comment) for number, comment in _jobs("running")]
        return [job for job in found if job]

    def cancel(self, job: "Job") -> None:
        _run("scancel", job.number)

    def to_pending(self, name: str, *command: str) -> bool:
        """Give a command the number of the job that waits and whose comment ends with `name`; whether there is one."""
        numbers = [number for number, comment in _jobs("pending") if comment.endswith(f"_{name}")]
        for number in numbers:
            _run(*command, number)
        return bool(numbers)

    def shorten(self, job: "Job", minutes: int) -> None:
        """Give a job less time than it asked for."""
        _run("scontrol", "update", f"jobid={job.number}", f"timelimit={minutes}")

    def requests(self) -> list[str]:
        """Account, time limit and resources that each job asked for; only with accounting."""
        table = _run("sacct", "--noheader", "--allocations", "--parsable2", "--format=account,timelimit,reqtres")
        return table.splitlines()

    def kill_node(self, node: str) -> None:
        """What a machine that loses its power does: every process on it is gone, and nobody is told."""
        jobs = _run("squeue", "--noheader", "--format=%A", f"--nodelist={node}").split()
        steps = re.compile(rf"slurmstepd: \[({'|'.join(jobs)})\.")
        self._daemons.pop(node).kill()
        _kill(process for process, command, _ in _processes() if steps.match(command))
        _kill(process for process, _, environment in _processes() if environment.get("SLURMD_NODENAME") == node)
        _run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def start_node(self, node: str) -> None:
        self._daemon(node, "slurmd", "-D", "-N", node)
        wait_for(lambda: _run("sinfo", "--noheader", f"--nodes={node}", "--format=%T") in ("idle", "mixed"))

    def stop_controller(self) -> None:
        controller = self._daemons.pop("controller")
        controller.terminate()
        controller.wait()

    def start_controller(self) -> None:
        self._daemon("controller", "slurmctld", "-D")
        # Slurm 22.05 starts jobs on nodes that it does not know again yet, and then denies them their GPUs.
        wait_for(lambda: "unknown" not in _run("sinfo", "--noheader", "--Node", "--format=%T"))

    def _start(self) -> None:
        (self._folder / "state").mkdir(parents=True)
        key = self._folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        files = [f"--{name}-file={self._folder}/munge.{name}" for name in ("key", "pid", "seed", "log")]
        self._daemon("munge", "munged", "--foreground", "--force", f"--socket={self._folder}/munge.socket", *files)
        accounting = self._start_accounting() if self._accounting else "AccountingStorageType=accounting_storage/none"
        self._configure(accounting)
        self._daemon("controller", "slurmctld", "-D", "-c")
        for node in self._nodes:
            self._daemon(node, "slurmd", "-D", "-N", node)
        wait_for(lambda: _run("sinfo", "--noheader", "--states=idle", "--format=%D") == str(NODES))
        if self._accounting:
            _run("sacctmgr", "-i", "add", "account", "bench")
            _run("sacctmgr", "-i", "add", "user", "root", "account=bench")

    def _start_accounting(self) -> str:
        data, mysql = f"--datadir={self._folder}/mysql", self._folder / "mysql.socket"
        _run("mariadb-install-db", "--no-defaults", "--user=root", data, "--skip-test-db")
        options = ("--skip-networking", "--innodb-buffer-pool-size=64M", f"--socket={mysql}")
        self._daemon("database", "mariadbd", "--no-defaults", "--user=root", data, *options)
        wait_for(mysql.exists)
        port = free_port()
        self._write("slurmdbd.conf", _SLURMDBD_CONF.format(folder=self._folder, port=port), 0o600)
        self._daemon("accounting", "slurmdbd", "-D", MYSQL_UNIX_PORT=str(mysql))
        wait_for(lambda: listens(port))
        return _ACCOUNTING.format(folder=self._folder, port=port)

    def _configure(self, accounting: str) -> None:
        nodes, gpus = [], []
        for node in self._nodes:
            (self._folder / f"spool-{node}").mkdir()
            name = f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()}"
            # As many as a job on each GPU asks for.
            cpus = 8 * GPUS_PER_NODE
            nodes.append(f"{name} CPUs={cpus} RealMemory=64000 Gres=gpu:fake:{GPUS_PER_NODE} State=UNKNOWN")
            for number in range(GPUS_PER_NODE):
                # Slurm takes nothing but a device file; this one is another /dev/null.
                device = self._folder / f"{node}-nvidia{number}"
                os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
                gpus.append(f"NodeName={node} Name=gpu Type=fake File={device}\n")
        text = _SLURM_CONF.format(
            folder=self._folder,
            controller_port=free_port(),
            accounting=accounting,
            min_job_age_s=2 if self._accounting else 300,
            nodes="\n".join(nodes),
        )
        prolog = self._folder / "task_prolog"
        prolog.write_text(_TASK_PROLOG)
        prolog.chmod(0o755)
        self._write("slurm.conf", text)
        self._write("gres.conf", "".join(gpus))

    def _write(self, file: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the configuration where Slurm looks for it."""
        (self._folder / file).write_text(text)
        (self._folder / file).chmod(mode)
        (_ETC / file).unlink(missing_ok=True)
        (_ETC / file).symlink_to(self._folder / file)

    def _daemon(self, name: str, *command: str, **variables: str) -> None:
        with (self._folder / f"{name}.output").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                command, stdout=output, stderr=output, env=os.environ | variables, preexec_fn=_end_with_the_test
            )


@dataclass(frozen=True)
class Job:
    """A running job: its number, its comment, its node and the numbers of its GPUs there."""

    number: str
    comment: str
    node: str
    gpus: str


def _jobs(state: str) -> list[list[str]]:
    """Number and comment of each job in a state."""
    return [line.split() for line in _run("squeue", "--noheader", f"--states={state}", "--format=%A %k").splitlines()]


def _job(number: str, comment: str) -> Job | None:
    """A job on its GPUs; None where it has just ended, or where it asked for no GPU."""
    text = _run("scontrol", "--details", "show", "job", number)
    found = re.search(r" Nodes=(\S+) .*GRES=gpu:fake:\d\(IDX:(\S+)\)", text)
    return Job(number, comment, found[1], found[2]) if found else None


def _end_with_the_test() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _run(*command: str, timeout_s: float = 300) -> str:
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, timeout=timeout_s)
    return done.stdout.strip()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for what must happen; a command that fails until then is no error."""
    deadline = time.monotonic() + 600
    while True:
        with suppress(subprocess.CalledProcessError):
            if condition():
                return
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def _processes() -> Iterator[tuple[psutil.Process, str, dict[str, str]]]:
    """Every process with its command and its environment."""
    for process in psutil.process_iter(["cmdline", "environ"]):
        yield process, " ".join(process.info["cmdline"] or []), process.info["environ"] or {}


def _kill(processes: Iterator[psutil.Process]) -> None:
    for process in list(processes):
        with suppress(psutil.NoSuchProcess):
            process.kill()
