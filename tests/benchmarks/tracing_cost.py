"""What tracing costs: the same tiny generation with and without it, in turn, in one process.

    .venv/bin/python tests/benchmarks/tracing_cost.py [PAIRS]

Tiny models are the worst case: a boundary costs the same whatever lies between two of them.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts"), str(Path(__file__).parents[1])]

import torch

from example_cases import tiny_case
from wanbench.cases.case import Case
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.generate import pipeline_arguments
from wanbench.measure.wan.observe import observe
from wanbench.measure.wan.setup import apply_settings
from wanbench.registry import stages as stage_names
from wanbench.util.event_log import EventLog


def main(pairs: int) -> None:
    for settings in ({}, {"offload": "sequential"}, {"model": "T2V-A14B", "steps": 8}):
        case = tiny_case(**{"steps": 10} | settings)
        print(f"{case.model}, {case.steps} steps, offload {case.offload}, {torch.get_num_threads()} threads:")
        compare(case, pairs)


def compare(case: Case, pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events"
        clock = StageClock(EventLog(file), synchronise=lambda: None)
        pipe = build_pipeline(case, torch.device("cpu"), clock)
        apply_settings(pipe, case, torch.device("cpu"))
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for i in range(2 * pairs + 2):
            observed = i % 2 == 0
            before = file.read_bytes().count(b"\n")
            seconds_once = once(pipe, case, clock, observed)
            if observed:
                records = file.read_bytes().count(b"\n") - before
            if i >= 2:  # the first pair warms up
                seconds[observed].append(seconds_once)
    on_s, off_s = statistics.median(seconds[True]), statistics.median(seconds[False])
    spread_s = statistics.quantiles(seconds[False], n=4)
    low_ms, high_ms = 1e3 * spread_s[0], 1e3 * spread_s[2]
    print(f"  off {1e3 * off_s:.2f} ms (quartiles {low_ms:.2f} to {high_ms:.2f}), on {1e3 * on_s:.2f} ms")
    differences_s = [on - off for on, off in zip(seconds[True], seconds[False])]
    cost_s = statistics.median(differences_s)
    print(f"  median difference {1e3 * cost_s:.2f} ms in {records} records: {1e6 * cost_s / records:.0f} µs a record")


def once(pipe: object, case: Case, clock: StageClock, observed: bool) -> float:
    arguments = pipeline_arguments(case)
    start_s = time.perf_counter()
    if observed:
        with observe(pipe, clock):
            clock.begin(stage_names.PREPROCESS)
            pipe(**arguments)
            clock.end()
    else:
        pipe(**arguments)
    return time.perf_counter() - start_s


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
