"""Does SM activity say what it should? A kernel on all multiprocessors, busy for a known share of the time.

    .venv/bin/python tests/benchmarks/sm_activity.py

Under the sampler as the supervisor starts it, before CUDA is opened, and with counter refreshes found from matrix
products at the end: both as in a case. Others at the beginning should find the same. For each share the kernel runs in
periods of 40 ms for 2.5 s. Compared are the 2 s in the middle; and, to show what a boundary costs where one of GPM's
100 ms is shared out evenly, the whole slice, which has another load right before and after. The share that the GPU was
really busy comes from CUDA events. Needs a GPU and Triton (which comes with torch's CUDA build). Takes half a minute.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts"), str(Path(__file__).parent)]

import torch
from sampling_cost import sampler

from wanbench.measure.cuda import run_matmul
from wanbench.telemetry.gpm_clock import PERIOD_NS, CounterRefreshes
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.telemetry.samples import Samples, placed_by_load, read_samples, stage_measures
from wanbench.util.event_log import EventTail
from wanbench.util.intervals import Interval, overlap

DUTIES = (0.0, 0.25, 0.5, 0.75, 1.0)
PERIOD_S = 0.04
MARGIN_S = 0.25
SLICE_S = 2.0 + 2 * MARGIN_S
BLOCKS_PER_SM = 64

Slice = tuple[float, Interval, list[Interval]]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples"
        with sampler(file):
            timed = _timed_kernel()
            rounds_per_s = _rounds_per_s(timed)
            _, first_ns = run_matmul()
            slices = [_slice(timed, duty, rounds_per_s) for duty in DUTIES]
            _, last_ns = run_matmul()
        samples = read_samples(EventTail(file).new_records(), SAMPLING_INTERVAL_S)
    print_agreement(*(placed_by_load(samples, [busy_ns]).counter_refreshes for busy_ns in (first_ns, last_ns)))
    samples = placed_by_load(samples, [last_ns])
    print(f"driver refreshes were {'' if samples.driver_refreshes else 'not '}found")
    print_slices(samples, slices)


def print_agreement(first: CounterRefreshes | None, last: CounterRefreshes | None) -> None:
    if first is None or last is None:
        print(f"counter refreshes: found by {2 - [first, last].count(None)} of 2 loads")
        return
    between_ns = last.one_ns - first.one_ns
    off_ns = between_ns - round(between_ns / PERIOD_NS) * PERIOD_NS
    print(f"counter refreshes found by two loads, {between_ns / 1e9:.0f} s apart, differ by {off_ns / 1e6:+.0f} ms")


def print_slices(samples: Samples, slices: list[Slice]) -> None:
    margin_ns = round(MARGIN_S * 1e9)
    for duty, (start_ns, end_ns), busy in slices:
        middle = start_ns + margin_ns, end_ns - margin_ns
        print(f"asked {100 * duty:5.1f} %: {_compared(samples, middle, busy)}")
        print(f"    with boundaries: {_compared(samples, (start_ns, end_ns), busy)}")


def _compared(samples: Samples, part: Interval, busy: list[Interval]) -> str:
    really_pct = 100 * overlap(part, busy) / (part[1] - part[0])
    sm_pct = stage_measures(samples, [part])["sm_activity_pct"]
    return f"busy {really_pct:6.2f} %, SM Act {sm_pct:6.2f} %, difference {sm_pct - really_pct:+.2f}"


def _timed_kernel() -> Callable[[int], float]:
    """Runs the kernel for so many rounds; how long it took, in seconds, by CUDA events."""
    from spin_kernel import spin

    # Many small blocks a multiprocessor: with a few large ones, some multiprocessors get none.
    blocks = BLOCKS_PER_SM * torch.cuda.get_device_properties(0).multi_processor_count
    out = torch.ones(blocks * 128, device="cuda")

    def timed(rounds: int) -> float:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        spin[(blocks,)](out, rounds, BLOCK=128)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3

    return timed


def _rounds_per_s(timed: Callable[[int], float]) -> float:
    timed(1000)
    rounds = 20_000
    timed(rounds)
    # The second run is at full clocks.
    return rounds / timed(rounds)


def _slice(timed: Callable[[int], float], duty: float, rounds_per_s: float) -> Slice:
    """Keep the GPU busy for the share of a slice; when that was, and the times in which it was busy, in nanoseconds."""
    busy: list[Interval] = []
    begin_ns = time.monotonic_ns()
    while (now_ns := time.monotonic_ns()) < begin_ns + SLICE_S * 1e9:
        if duty:
            busy_s = timed(round(duty * PERIOD_S * rounds_per_s))
            end_ns = time.monotonic_ns()
            busy.append((end_ns - round(busy_s * 1e9), end_ns))
        time.sleep(max(0.0, PERIOD_S - (time.monotonic_ns() - now_ns) / 1e9) if duty < 1 else 0)
    return duty, (begin_ns, time.monotonic_ns()), busy


if __name__ == "__main__":
    argparse.ArgumentParser(description="Compares SM activity with a known load on a GPU.").parse_args()
    main()
