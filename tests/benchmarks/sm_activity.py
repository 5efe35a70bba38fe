"""Does SM activity say what it should? A kernel on all multiprocessors, busy for a known share of the time.

    .venv/bin/python tests/benchmarks/sm_activity.py

Under the sampler as the supervisor starts it, and with the delay of its values found from matrix products as in a
case. For each share the kernel runs in periods of 40 ms for 2.5 s. Compared are the 2 s in the middle; and, to show
what a border costs where one of GPM's 100 ms is shared out evenly, the whole slice, which has another load right
before and after. The share that the GPU was really busy comes from CUDA events. Needs a GPU and Triton (which comes
with torch's CUDA build).
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

from wanbench.measure.cuda import run_matmul
from wanbench.measure.event_log import EventTail
from wanbench.measure.intervals import Interval, overlap
from wanbench.measure.latch_delay import placed_by_load
from wanbench.measure.samples import Samples, read_samples, stage_measures
from wanbench.measure.supervisor import SAMPLING_INTERVAL_S

PERIOD_S = 0.04
MARGIN_S = 0.25
SLICE_S = 2.0 + 2 * MARGIN_S
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
        slices: list[tuple[float, Interval, list[Interval]]] = []
        with contextlib.ExitStack() as around:
            around.enter_context(_sampler(file))
            matmul = run_matmul()
            for duty in (0.0, 0.25, 0.5, 0.75, 1.0):
                start_ns = time.monotonic_ns()
                busy = _slice(out, blocks, duty, rounds_per_s)
                slices.append((duty, (start_ns, time.monotonic_ns()), busy))
            time.sleep(0.5)
        samples = read_samples(EventTail(file).new_records(), SAMPLING_INTERVAL_S)
    samples = placed_by_load(samples, [matmul.busy_ns])
    print(f"GPM's latches can be read after {samples.gpm_delay_ns / 1e6:.0f} ms")
    margin_ns = round(MARGIN_S * 1e9)
    for duty, (start_ns, end_ns), busy in slices:
        middle = start_ns + margin_ns, end_ns - margin_ns
        print(f"asked {100 * duty:5.1f} %: {_compared(samples, middle, busy)}")
        print(f"    with borders: {_compared(samples, (start_ns, end_ns), busy)}")


def _compared(samples: Samples, part: Interval, busy: list[Interval]) -> str:
    really_pct = 100 * overlap(part, busy) / (part[1] - part[0])
    sm_pct = stage_measures(samples, [part])["sm_activity_pct"]
    return f"busy {really_pct:6.2f} %, SM Act {sm_pct:6.2f} %, difference {sm_pct - really_pct:+.2f}"


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


def _slice(out: torch.Tensor, blocks: int, duty: float, rounds_per_s: float) -> list[Interval]:
    """Keep the GPU busy for the share of a slice; the times in which it was, by CUDA events, in nanoseconds."""
    busy: list[Interval] = []
    begin_s = time.monotonic()
    while (now_s := time.monotonic()) < begin_s + SLICE_S:
        if duty:
            busy_s = _timed(out, blocks, round(duty * PERIOD_S * rounds_per_s))
            end_ns = time.monotonic_ns()
            busy.append((end_ns - round(busy_s * 1e9), end_ns))
        time.sleep(max(0.0, now_s + PERIOD_S - time.monotonic()) if duty < 1 else 0)
    return busy


if __name__ == "__main__":
    main()
