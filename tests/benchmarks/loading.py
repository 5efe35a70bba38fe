"""How near is `Model_Initialization` from a warm page cache to copying the same bytes to the GPU?

    snakemake --cores 1 results/checkpoints/full/TI2V-5B
    .venv/bin/python tests/benchmarks/loading.py results/checkpoints/full/TI2V-5B [rounds]

Reads every file once, so that all is in the page cache, and then times in turn: reading the files into one host buffer;
copying them to the GPU, each tensor from the mapped file, as it is stored; and the project's own initialisation of a
case that uses the checkpoint, with its share of casting and of everything else. Needs a GPU.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts")]

import torch
from safetensors.torch import load_file

from wanbench.cases.resolve import resolve_cases
from wanbench.measure.disk import disk_read_bytes, weights_bytes
from wanbench.measure.event_log import EventLog
from wanbench.measure.stage_clock import NoPeakMemory, StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.setup import apply_settings

GPU = torch.device("cuda")
BUFFER = bytearray(64 * 2**20)


def main(folder: Path, rounds: int) -> None:
    size_bytes = weights_bytes(folder)
    files = sorted(folder.rglob("*.safetensors"))
    case = resolve_cases(
        {"cases": {"loading": {"model": "TI2V-5B", "weights": "pretrained", "checkpoint": str(folder)}}}, "loading"
    )[0]
    torch.zeros(1, device=GPU)
    print(f"{size_bytes / 1e9:.2f} GB in {len(files)} files")
    print(f"first reading: {_timed(lambda: _read(files)):.2f} s")
    for _ in range(rounds):
        before_bytes = disk_read_bytes()
        read_s = _timed(lambda: _read(files))
        copy_s = _timed(lambda: _copy(files))
        initialise_s = _timed(lambda: _initialise(case))
        for what, time_s in (("read", read_s), ("copy to GPU", copy_s), ("initialise", initialise_s)):
            print(f"{what}: {time_s:.2f} s, {size_bytes / 1e9 / time_s:.2f} GB/s; {time_s / copy_s:.2f} of the copy")
        print(f"from disk meanwhile: {((disk_read_bytes() or 0) - (before_bytes or 0)) / 1e9:.2f} GB")


def _timed(work: Callable[[], object]) -> float:
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    start_s = time.monotonic()
    work()
    torch.cuda.synchronize()
    return time.monotonic() - start_s


def _read(files: list[Path]) -> None:
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(BUFFER):
                pass


def _copy(files: list[Path]) -> None:
    for file in files:
        load_file(file, device="cuda")


def _initialise(case: object) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        clock = StageClock(EventLog(Path(scratch) / "events"), torch.cuda.synchronize, NoPeakMemory())
        apply_settings(build_pipeline(case, GPU, clock), case, GPU)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
