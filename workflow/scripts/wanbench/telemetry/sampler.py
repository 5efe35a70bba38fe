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
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from wanbench.telemetry.gpm import PROBE_AFTER_S
from wanbench.telemetry.host import HostSource
from wanbench.telemetry.nvml import NvmlUnavailable, open_nvml
from wanbench.util.event_log import EventLog
from wanbench.util.lifeline import die_with_parent

# GPM needs 0.1 s between two samples, and ticks come up to some milliseconds early or late.
SAMPLING_INTERVAL_S = 0.105


class Source(Protocol):
    """A set of metrics that are read together.

    Keys of a reading carry their unit: `_pct`, `_bytes`, `_w`, `_j`, `_mhz`, `_c`, `_ns`. A metric that could not be
    read is absent from the reading; a reading never holds a guess.
    """

    def read(self) -> dict[str, float]:
        """One reading. Rates and shares cover the time since the last one; the first reading has none."""
        ...

    def close(self) -> None: ...


class StopFlag:
    """Set by SIGTERM, so that the last sample is written whole."""

    is_set = False

    def __init__(self) -> None:
        signal.signal(signal.SIGTERM, self._set)

    def _set(self, *_: object) -> None:
        self.is_set = True


def sample(
    sources: list[Source], log: EventLog, interval_s: float, stop: StopFlag, probe: Callable[[], dict[str, float]]
) -> None:
    """Sample until stopped, on a time grid fixed at the start so that it does not drift.

    A tick that comes too late for the next one is missed and not made up for. The last record holds the number of
    samples and of missed ticks.

    Args:
        sources: in the order in which they are read. The time of a sample is taken right before the first, for which
            milliseconds matter.
        probe: called PROBE_AFTER_S after each tick; what it finds is written with the next.
    """
    start_s = time.monotonic()
    tick = samples = missed = 0
    probed: dict[str, float] = {}
    parent = os.getppid()
    while not stop.is_set and os.getppid() == parent:
        time_ns, values = time.monotonic_ns(), probed
        for source in sources:
            values |= source.read()
        log.write({"time_ns": time_ns, "values": values})
        samples += 1
        due = int((time.monotonic() - start_s) / interval_s) + 1
        missed += due - tick - 1
        tick = due
        due_s = start_s + tick * interval_s
        _sleep_until(due_s - interval_s + PROBE_AFTER_S)
        probed = probe()
        _sleep_until(due_s)
    log.write({"samples": samples, "missed": missed})


def _sleep_until(time_s: float) -> None:
    time.sleep(max(0.0, time_s - time.monotonic()))


def main(supervisor_pid: int, file: Path, pids: list[int], interval_s: float, gpus: list[str]) -> None:
    stop = StopFlag()
    die_with_parent(supervisor_pid)
    # Ctrl-C reaches the whole process group; the supervisor decides when sampling ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = EventLog(file)
    host = HostSource(*pids)
    sources: list[Source] = [host]
    probe: Callable[[], dict[str, float]] = dict
    if gpus:
        try:
            nvml = open_nvml(gpus, host.pids)
        except NvmlUnavailable as error:
            log.write({"gpu_telemetry": {"error": str(error)}})
        else:
            log.write({"gpu_telemetry": nvml.describe()})
            sources.insert(0, nvml)
            probe = nvml.probe
    sample(sources, log, interval_s, stop, probe)
    for source in sources:
        source.close()


if __name__ == "__main__":
    processes = [int(pid) for pid in sys.argv[3].split(",")]
    main(int(sys.argv[1]), Path(sys.argv[2]), processes, float(sys.argv[4]), sys.argv[5:])
