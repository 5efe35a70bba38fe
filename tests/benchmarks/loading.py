"""How near is `Model_Initialization` from a warm page cache to copying the same bytes to the GPU, and why?

    snakemake --cores 1 results/checkpoints/full/TI2V-5B
    .venv/bin/python tests/benchmarks/loading.py results/checkpoints/full/TI2V-5B [--rounds 2]

First every file is read, from the disk where it is not in the page cache; how many bytes came from a disk is printed.
Then, in each round and for each component of the pipeline, these are timed one after another on the same files:

    read         all files into one small host buffer: what the page cache gives
    host copy    each tensor from the mapped file to a new one on the host, in the data type of the case
    device copy  each tensor from the mapped file to the GPU, in the data type of the file
    initialise   the project's own initialisation of a case that uses the checkpoint

The first three are what loading consists of, each alone. What the libraries do overlaps, and casts on the host or on
the GPU as they like, so they do not add up to the fourth. Without a GPU the device is the CPU, which shows that this
works.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "workflow/scripts")]

import torch
from safetensors import safe_open

from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.measure.spans import read_records
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.run_case import disk_read_bytes
from wanbench.measure.wan.setup import apply_settings
from wanbench.util.event_log import EventLog, EventTail

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BUFFER = bytearray(64 * 2**20)
WHOLE = "all"


def main(folder: Path, rounds: int) -> None:
    case = resolve_cases(
        {"cases": {"loading": {"model": "TI2V-5B", "weights": "pretrained", "checkpoint": str(folder)}}}, "loading"
    )[0]
    torch.zeros(1, device=DEVICE)
    components = {part.name: sorted(part.glob("*.safetensors")) for part in sorted(folder.iterdir()) if part.is_dir()}
    components = {name: files for name, files in components.items() if files}
    before_bytes = disk_read_bytes() or 0
    first_s = _timed(lambda: [_read(files) for files in components.values()])
    print(f"first reading: {first_s:.2f} s, {((disk_read_bytes() or 0) - before_bytes) / 1e9:.2f} GB from a disk")
    for number in range(rounds):
        before_bytes = disk_read_bytes() or 0
        parts_s = {name: _parts_s(files, _dtype(case, name)) for name, files in components.items()}
        initialise_s = _initialise(case)
        print(f"round {number + 1}, {((disk_read_bytes() or 0) - before_bytes) / 1e9:.2f} GB from a disk:")
        for name, files in components.items():
            _print(name, _size_bytes(files), parts_s[name] | {"initialise": initialise_s[name]})
        whole_s = {what: sum(times_s[what] for times_s in parts_s.values()) for what in next(iter(parts_s.values()))}
        size_bytes = sum(map(_size_bytes, components.values()))
        _print(WHOLE, size_bytes, whole_s | {"initialise": initialise_s[WHOLE]})
        print(f"initialisation took {initialise_s[WHOLE] / whole_s['device copy']:.2f} of the device copy")


def _print(name: str, size_bytes: int, times_s: dict[str, float]) -> None:
    parts = (f"{what} {time_s:.2f} s ({size_bytes / 1e9 / time_s:.2f} GB/s)" for what, time_s in times_s.items())
    print(f"  {name}, {size_bytes / 1e9:.2f} GB: {', '.join(parts)}")


def _size_bytes(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _dtype(case: Case, component: str) -> torch.dtype:
    return getattr(torch, case.vae_dtype if component == "vae" else case.dtype)


def _parts_s(files: list[Path], dtype: torch.dtype) -> dict[str, float]:
    return {
        "read": _timed(lambda: _read(files)),
        "host copy": _timed(lambda: _each(files, "cpu", lambda tensor: tensor.to(dtype, copy=True))),
        "device copy": _timed(lambda: _each(files, DEVICE.type, lambda tensor: tensor)),
    }


def _timed(work: Callable[[], object]) -> float:
    _synchronise()
    start_s = time.monotonic()
    work()
    _synchronise()
    return time.monotonic() - start_s


def _synchronise() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.synchronize()


def _read(files: list[Path]) -> None:
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(BUFFER):
                pass


def _each(files: list[Path], device: str, work: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Load every tensor; all are kept to the end, as in a model."""
    kept = [work(tensor) for file in files for tensor in _tensors(file, device)]
    del kept


def _tensors(file: Path, device: str) -> Iterator[torch.Tensor]:
    with safe_open(file, "pt", device=device) as opened:
        for key in opened.keys():  # noqa: SIM118 - it is no mapping
            yield opened.get_tensor(key)


def _initialise(case: Case) -> dict[str, float]:
    """Seconds of the whole and of each component, as the trace of a case would show them."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "events"
        synchronise = torch.cuda.synchronize if DEVICE.type == "cuda" else lambda: None
        clock = StageClock(EventLog(file), synchronise)
        whole_s = _timed(lambda: apply_settings(build_pipeline(case, DEVICE, clock), case, DEVICE))
        spans = read_records(EventTail(file).new_records()).spans.values()
    return {WHOLE: whole_s} | {
        span.name.removeprefix("Initialize_"): ((span.end_ns or 0) - span.start_ns) / 1e9 for span in spans
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    main(**vars(parser.parse_args()))
