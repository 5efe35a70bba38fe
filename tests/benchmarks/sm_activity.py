"""Does SM activity say what it should? A kernel on all multiprocessors, busy for a known share of the time.

    .venv/bin/python tests/benchmarks/sm_activity.py

For each share the kernel runs in periods of 40 ms for 2 s, one slice right after the other, under the sampler as the
supervisor starts it. The share that it was really busy comes from CUDA events. Where a border cuts one of GPM's
100 ms, its value is shared out evenly: beside a slice of another load that is off by up to a point. Needs a GPU and
Triton (which comes with torch's CUDA build).
"""

import contextlib
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts"), str(Path(__file__).parent)]

import torch
import triton
import triton.language as tl
from sampling_cost import _sampler

from wanbench.measure.event_log import EventTail
from wanbench.measure.samples import Samples, read_samples, stage_measures
from wanbench.measure.supervisor import SAMPLING_INTERVAL_S

PERIOD_S = 0.04
SLICE_S = 2.0
BLOCKS_PER_SM = 64


@triton.jit
def _spin(out, rounds, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(out + offsets)
    for _ in range(rounds):
        value = value * 0.999 + 0.001
    tl.store(out + offsets, value)


def main() -> None:
    # Many small blocks a multiprocessor: with a few large ones, some multiprocessors get none.
    blocks = BLOCKS_PER_SM * torch.cuda.get_device_properties(0).multi_processor_count
    out = torch.ones(blocks * 128, device="cuda")
    rounds_per_s = _rounds_per_s(out, blocks)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples"
        slices: list[tuple[float, float, int, int]] = []
        with contextlib.ExitStack() as around:
            around.enter_context(_sampler(file))
            time.sleep(0.5)
            for duty in (0.0, 0.25, 0.5, 0.75, 1.0):
                start_ns = time.monotonic_ns()
                busy_s = _slice(out, blocks, duty, rounds_per_s)
                slices.append((duty, busy_s, start_ns, time.monotonic_ns()))
            time.sleep(0.5)
        samples = read_samples(EventTail(file).new_records(), SAMPLING_INTERVAL_S)
    for duty, busy_s, start_ns, end_ns in slices:
        measured = stage_measures(samples, [(start_ns, end_ns)])
        really_pct = 100 * busy_s / ((end_ns - start_ns) / 1e9)
        sm_pct = measured["sm_activity_pct"]
        print(
            f"asked {100 * duty:5.1f} %, busy by CUDA events {really_pct:6.2f} %, SM Act {sm_pct:6.2f} %, "
            f"difference {sm_pct - really_pct:+.2f}; without the borders {_steady(samples, start_ns, end_ns):6.2f} %; "
            f"{measured['energy_j']:.0f} J, {measured['power_w']:.0f} W mean, {measured['samples']} samples"
        )


def _steady(samples: Samples, start_ns: int, end_ns: int) -> float:
    """SM activity of the slice without a quarter of a second at both ends, where the neighbours count."""
    return stage_measures(samples, [(start_ns + 250_000_000, end_ns - 250_000_000)])["sm_activity_pct"]


def _rounds_per_s(out: torch.Tensor, blocks: int) -> float:
    _spin[(blocks,)](out, 1000, BLOCK=128)
    rounds = 20_000
    for _ in range(2):  # the second run is at full clocks
        seconds = _timed(out, blocks, rounds)
    return rounds / seconds


def _timed(out: torch.Tensor, blocks: int, rounds: int) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    _spin[(blocks,)](out, rounds, BLOCK=128)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def _slice(out: torch.Tensor, blocks: int, duty: float, rounds_per_s: float) -> float:
    """Keep the GPU busy for the share of 2 s; the seconds that it was, by CUDA events."""
    busy_s = 0.0
    begin_s = time.monotonic()
    while (now_s := time.monotonic()) < begin_s + SLICE_S:
        if duty:
            busy_s += _timed(out, blocks, round(duty * PERIOD_S * rounds_per_s))
        time.sleep(max(0.0, now_s + PERIOD_S - time.monotonic()) if duty < 1 else 0)
    return busy_s


if __name__ == "__main__":
    main()
