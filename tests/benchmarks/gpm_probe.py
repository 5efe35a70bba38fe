"""Are GPM's counters refreshed as the project takes it that they are? Asks a GPU, idle or not.

    .venv/bin/python tests/benchmarks/gpm_probe.py [--seconds 80]

Three questions, each with what is expected:

- How often is there no driver refresh between two samples that are so far apart? In 1 - distance / 100 ms of all cases.
  Always would mean that NVML refuses short distances, and then probes could not show when driver refreshes are.
- When are they? Found every 2 s by polling, to 4 ms. Their period and how far they are from a grid come from a line
  through these instants.
- Does `driver_refreshes` find the same from readings and probes as in a case? The difference should be below 4 ms.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts")]

from wanbench.telemetry.gpm import PERIOD_S, PROBE_AFTER_S, Gpm
from wanbench.telemetry.gpm_clock import driver_refreshes
from wanbench.telemetry.gpus import visible_gpus
from wanbench.telemetry.nvml import initialised_nvml
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S

EVERY_S = 2.0
POLL_S = 0.004
DISTANCES_S = (0.02, 0.05, 0.08, PROBE_AFTER_S)
TRIES = 40


def main(seconds: float, tries: int = TRIES) -> None:
    nvml = initialised_nvml()
    gpm = Gpm(nvml, nvml.nvmlDeviceGetHandleByUUID(visible_gpus(os.environ, nvml)[0]), None)
    for distance_s in DISTANCES_S:
        same = sum(_has_same_counters(gpm, distance_s) for _ in range(tries))
        expected = tries * (1 - distance_s / PERIOD_S)
        print(f"{1e3 * distance_s:.0f} ms apart: {same} of {tries} of the same counters; expected: {expected:.0f}")
    polled_ns: list[int] = []
    free_ns: list[int] = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        polled_ns.append(_polled(gpm))
        free_ns += _sampled(gpm, EVERY_S)
    print_grid(polled_ns, free_ns)


def print_grid(polled_ns: list[int], free_ns: list[int]) -> None:
    numbers = _numbers(polled_ns)
    line = statistics.linear_regression(numbers, [time_ns - polled_ns[0] for time_ns in polled_ns])
    off_ms = [
        (time_ns - polled_ns[0] - line.intercept - line.slope * number) / 1e6
        for number, time_ns in zip(numbers, polled_ns)
    ]
    print(f"period {line.slope / 1e6:.4f} ms, drift {10 * (line.slope / 1e6 - 100):+.2f} ms/s")
    print(f"{len(off_ms)} instants, off the grid by up to {max(map(abs, off_ms)):.1f} ms")
    found = driver_refreshes(free_ns)
    if found is None:
        print(f"no grid from {len(free_ns)} instants that probes found")
        return
    # A little later, so that the driver refresh in question is the last and not the next.
    apart_ms = [(time_ns - found.last_ns(time_ns + 20_000_000)) / 1e6 for time_ns in polled_ns]
    print(f"grid from {len(free_ns)} instants that probes found: {statistics.median(apart_ms):+.1f} ms apart")
    print(f"    at most {max(map(abs, apart_ms)):.1f} ms")


def _numbers(times_ns: list[int]) -> list[int]:
    """Which driver refresh each instant is of, counted from the first."""
    numbers = [0]
    for left, right in zip(times_ns, times_ns[1:]):
        numbers.append(numbers[-1] + round((right - left) / (PERIOD_S * 1e9)))
    return numbers


def _has_same_counters(gpm: Gpm, distance_s: float) -> bool:
    time.sleep(PERIOD_S * random.uniform(1.2, 2.2))
    gpm.read()
    time.sleep(distance_s)
    return not gpm.read()


def _polled(gpm: Gpm) -> int:
    """When the next driver refresh is, to the time of a poll; monotonic, in nanoseconds."""
    time.sleep(1.2 * PERIOD_S)
    gpm.read()
    before_ns = time.monotonic_ns()
    while True:
        time.sleep(POLL_S)
        now_ns = time.monotonic_ns()
        if gpm.read():
            return (before_ns + now_ns) // 2
        before_ns = now_ns


def _sampled(gpm: Gpm, seconds: float) -> Iterator[int]:
    """Instants that readings and probes as in a case find."""
    start_s = time.monotonic()
    for tick in range(int(seconds / SAMPLING_INTERVAL_S)):
        due_s = start_s + tick * SAMPLING_INTERVAL_S
        time.sleep(max(0.0, due_s - time.monotonic()))
        gpm.read()
        time.sleep(max(0.0, due_s + PROBE_AFTER_S - time.monotonic()))
        found_ns = gpm.probe()
        if found_ns is not None:
            yield found_ns


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=80.0)
    main(parser.parse_args().seconds)
