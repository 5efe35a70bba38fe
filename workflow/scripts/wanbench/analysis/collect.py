"""Read the traces of a grid, and set aside, with the reason, those that must not be used."""

import gc
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from wanbench.analysis.measured_runs import judged
from wanbench.trace.reader import Trace, read_trace
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError
from wanbench.util.lifeline import end_with
from wanbench.util.text import one_line

# Few enough for all processes to have work, and enough that making tables of them takes little beside reading them.
FILES_OF_A_PART = 8

Made = TypeVar("Made")


@dataclass(frozen=True)
class Expected:
    """What a trace must have been measured with to describe the grid as it is now."""

    case_sha256: Mapping[str, str]
    measure: str
    env: str


@dataclass(frozen=True)
class Excluded:
    """A case whose trace is missing or is not used, and why, in one sentence.

    Attributes:
        of_grid: the grid has such a case, so the report lacks it.
    """

    case: str
    reason: str
    of_grid: bool = True


def not_of_the_grid(files: Iterable[str]) -> list[Excluded]:
    """Traces of cases that the grid does not have (any more): named, since somebody may look for them."""
    # Whoever made a file may have given it any name.
    names = [(one_line(Path(file).stem), one_line(file)) for file in files]
    return [Excluded(case, f"{file}: the grid has no such case", of_grid=False) for case, file in names]


def without_trace(cases: Iterable[str], grid: str) -> list[Excluded]:
    """Cases of a grid file that were not measured."""
    return [Excluded(case, f"{grid} has this case, and there is no trace of it: it was not measured") for case in cases]


def collect(files: Sequence[Path], expected: Expected | None, limits: Limits) -> tuple[list[Trace], list[Excluded]]:
    """Traces that describe the grid, judged, in the order of `files`, and those that do not.

    Snakemake's record of what made a file can be lost or overruled (`--touch`); the trace's own cannot.

    Args:
        expected: None for traces that stand for themselves, as those of another machine do.
        limits: for the verdict on each.
    """
    read_files = [_read(file, expected, limits) for file in files]
    traces = [item for item in read_files if isinstance(item, Trace)]
    return traces, [item for item in read_files if isinstance(item, Excluded)]


def made_of_parts(
    make: Callable[[list[Trace]], Made],
    files: Sequence[Path],
    expected: Expected | None,
    limits: Limits,
    processes: int = 1,
) -> tuple[list[Made], list[Excluded]]:
    """What is made of the traces that `collect` gives, some of them at a time, so that nobody holds all of them.

    Args:
        make: one that other processes can import. It is called where the traces were read, since they are long.
        files, expected, limits: as `collect` takes them.
        processes: that work at the same time.
    """
    parts = [files[start : start + FILES_OF_A_PART] for start in range(0, len(files), FILES_OF_A_PART)]
    made_of = partial(_made_of_part, make=make, expected=expected, limits=limits)
    if processes == 1:
        results = list(map(made_of, parts))
    else:
        with ProcessPoolExecutor(processes, initializer=_start_reader, initargs=(os.getpid(),)) as pool:
            results = list(pool.map(made_of, parts))
    return [made for made, _ in results], [item for _, excluded in results for item in excluded]


def _made_of_part(
    files: Sequence[Path], make: Callable[[list[Trace]], Made], expected: Expected | None, limits: Limits
) -> tuple[Made, list[Excluded]]:
    traces, excluded = collect(files, expected, limits)
    return make(traces), excluded


def _start_reader(pid: int) -> None:
    # A pool's processes wait for each other's work for ever when the one that made them was killed.
    end_with(pid)
    # Reading and making tables leave hardly any cycles, and looking for them takes a sixth of the time.
    gc.disable()


def case_of(file: Path) -> str:
    """Name of the case whose trace a file holds; the trace must say the same."""
    return file.name.removesuffix(".gz").removesuffix(".json")


def _read(file: Path, expected: Expected | None, limits: Limits) -> Trace | Excluded:
    case = case_of(file)
    try:
        trace = read_trace(file)
    except InputError as error:
        return Excluded(case, str(error) + _remedy(file, expected))
    reason = _stale(trace, case, expected)
    if reason is None:
        return judged(trace, limits)
    return Excluded(case, f"{file}: {reason}{_remedy(file, expected)}")


def _remedy(file: Path, expected: Expected | None) -> str:
    # Traces that stand for themselves cannot be measured again here.
    return "" if expected is None else f"; --forcerun {file} measures it again"


def _stale(trace: Trace, case: str, expected: Expected | None) -> str | None:
    if trace.case["name"] != case:
        return f"case.name: holds case {trace.case['name']!r}"
    if expected is None:
        return None
    for key, now in (
        ("case_sha256", expected.case_sha256[case]),
        ("measure", expected.measure),
        ("env", expected.env),
    ):
        if trace.digests[key] != now:
            what = {"case_sha256": "settings of this case", "measure": "measuring code", "env": "measuring environment"}
            return f"digests.{key}: measured with other {what[key]}"
    return None
