"""The sampler process: reads its sources at a fixed rate and appends every sample to a file.

Started by the supervisor as

    python -m wanbench.telemetry.sampler SUPERVISOR_PID FILE PID[,PID ...] INTERVAL_S [GPU_UUID ...]

It is a process of its own so that neither the interpreter lock of the measured process nor its death costs a sample.
It ends on SIGTERM, and when the supervisor is gone.
"""

import os
import signal
import sys
import time
from pathlib import Path
from threading import Event

from wanbench.telemetry.gpm import PROBE_AFTER_S
from wanbench.telemetry.gpus import find_gpus
from wanbench.telemetry.host import HostSource
from wanbench.telemetry.nvml import NvmlSource, NvmlUnavailable, open_nvml
from wanbench.util.event_log import EventLog
from wanbench.util.lifeline import die_with_parent

# GPM needs 0.1 s between two samples, and ticks come up to some milliseconds early or late.
SAMPLING_INTERVAL_S = 0.105


def sample(host: HostSource, nvml: NvmlSource | None, log: EventLog, interval_s: float, stop: Event) -> None:
    """Sample until stopped, on a time grid fixed at the start so that it does not drift.

    What could not be read is absent. A tick that comes too late for the next one is missed and not made up for. The
    last record holds the number of samples and of missed ticks, and what NVML refused.
    """
    start_s = time.monotonic()
    tick = samples = missed = 0
    probed: dict[str, float] = {}
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:
        # The time of a sample is taken right before GPM's, for which milliseconds matter.
        time_ns, values = time.monotonic_ns(), probed
        if nvml is not None:
            values |= nvml.read()
        values |= host.read()
        log.write({"time_ns": time_ns, "values": values})
        samples += 1
        due = int((time.monotonic() - start_s) / interval_s) + 1
        missed += due - tick - 1
        tick = due
        due_s = start_s + tick * interval_s
        _sleep_until(due_s - interval_s + PROBE_AFTER_S)
        probed = {} if nvml is None else nvml.probe()
        _sleep_until(due_s)
    ended = {"samples": samples, "missed": missed}
    log.write(ended if nvml is None else ended | {"gpu_refused": nvml.refused()})


def _sleep_until(time_s: float) -> None:
    time.sleep(max(0.0, time_s - time.monotonic()))


def main(supervisor_pid: int, file: Path, pids: list[int], interval_s: float, gpus: list[str]) -> None:
    # So that the last sample is written whole.
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    die_with_parent(supervisor_pid)
    # Ctrl-C reaches the whole process group; the supervisor decides when sampling ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = EventLog(file)
    host, nvml = HostSource(*pids), None
    if gpus:
        try:
            nvml = open_nvml(gpus, host.pids)
        except NvmlUnavailable as error:
            log.write({"gpu_telemetry": {"error": str(error)}})
        else:
            log.write({"gpu_telemetry": nvml.describe()})
    elif reason := find_gpus(os.environ).reason:
        log.write({"gpu_telemetry": {"error": reason}})
    sample(host, nvml, log, interval_s, stop)


if __name__ == "__main__":
    processes = [int(pid) for pid in sys.argv[3].split(",")]
    main(int(sys.argv[1]), Path(sys.argv[2]), processes, float(sys.argv[4]), sys.argv[5:])
