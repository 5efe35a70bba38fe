"""What sampling and tracing cost at full scale: TI2V-5B denoising plain, sampled, and sampled and traced, in turn.

    .venv/bin/python tests/benchmarks/sampling_cost.py [--rounds 5] [--steps 4] [--scale full]

Every round runs all three, in another order each time, in one process on one pipeline. Only denoising runs: the
latents are not decoded. Printed are seconds per step, medians with quartiles, and the paired differences. A round takes
half a minute on an H200.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

import psutil
import torch

from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.generate import pipeline_arguments
from wanbench.measure.wan.observe import observe
from wanbench.measure.wan.setup import apply_settings
from wanbench.registry import stages as stage_names
from wanbench.telemetry.gpus import find_gpus
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.util.event_log import EventLog

PLAIN, SAMPLED, TRACED = "plain", "sampled", "sampled and traced"


def main(rounds: int, steps: int, scale: str) -> None:
    case = case_of(steps, scale)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        clock = _clock(Path(folder), device)
        pipe = build_pipeline(case, device, clock)
        apply_settings(pipe, case, device)
        run = lambda mode: _seconds_per_step(pipe, case, clock, mode, Path(folder))  # noqa: E731
        run(TRACED)  # warms up
        orders = itertools.cycle(itertools.permutations((PLAIN, SAMPLED, TRACED)))
        times_s: dict[str, list[float]] = {PLAIN: [], SAMPLED: [], TRACED: []}
        for _, order in zip(range(rounds), orders):
            for mode in order:
                times_s[mode].append(run(mode))
                print(f"  {mode}: {times_s[mode][-1]:.4f} s/step", flush=True)
    print(f"{case.model} {case.size} x {case.frames}, {steps} steps, {rounds} rounds, {device}:")
    for mode, values_s in times_s.items():
        low_s, middle_s, high_s = statistics.quantiles(values_s, n=4)
        print(f"{mode:>20}: {middle_s:.4f} s/step (quartiles {low_s:.4f} to {high_s:.4f})")
    for mode in (SAMPLED, TRACED):
        shares_pct = [100 * (value / plain - 1) for value, plain in zip(times_s[mode], times_s[PLAIN])]
        low, middle, high = statistics.quantiles(shares_pct, n=4)
        print(f"{mode:>20}: {middle:+.3f} % against plain, paired (quartiles {low:+.3f} to {high:+.3f})")


def case_of(steps: int, scale: str) -> Case:
    small = {"size": "64*64", "unofficial_size": True, "frames": 5} if scale == "tiny" else {}
    settings = {"model": "TI2V-5B", "scale": scale, "steps": steps} | small
    return resolve_cases({"cases": {"sampling_cost": settings}}, "sampling_cost")[0]


def _clock(folder: Path, device: torch.device) -> StageClock:
    if device.type == "cpu":
        return StageClock(EventLog(folder / "events"), lambda: None)
    from wanbench.measure.cuda import take_peak

    return StageClock(EventLog(folder / "events"), torch.cuda.synchronize, take_peak)


def _seconds_per_step(pipe: object, case: Case, clock: StageClock, mode: str, folder: Path) -> float:
    arguments = pipeline_arguments(case) | {"output_type": "latent"}
    with contextlib.ExitStack() as around:
        if mode != PLAIN:
            around.enter_context(sampler(folder / "samples"))
        if mode == TRACED:
            around.enter_context(observe(pipe, clock))
            clock.begin(stage_names.PREPROCESS)
        start_s = time.perf_counter()
        pipe(**arguments)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        elapsed_s = time.perf_counter() - start_s
        if mode == TRACED:
            clock.end()
    return elapsed_s / case.steps


@contextlib.contextmanager
def sampler(file: Path) -> Iterator[None]:
    """The sampler as the supervisor starts it; says what it used of the machine."""
    gpus = [gpu.uuid for gpu in find_gpus(os.environ).gpus[:1]]
    arguments = [str(part) for part in (os.getpid(), file, os.getpid(), SAMPLING_INTERVAL_S, *gpus)]
    file.unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "wanbench.telemetry.sampler", *arguments], cwd=SCRIPTS)
    watched = psutil.Process(process.pid)
    # Until its first sample is written it starts and opens NVML, which is not what sampling costs.
    while process.poll() is None and not (file.exists() and b"time_ns" in file.read_bytes()):
        time.sleep(0.05)
    before, start_s = watched.cpu_times(), time.monotonic()
    yield
    after, elapsed_s = watched.cpu_times(), time.monotonic() - start_s
    used_s = after.user + after.system - before.user - before.system
    print(f"  sampler: {100 * used_s / elapsed_s:.1f} % of one core, {watched.memory_info().rss / 1e6:.0f} MB resident")
    process.terminate()
    process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5, help="2 or more")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--scale", choices=["full", "tiny"], default="full")
    main(**vars(parser.parse_args()))
