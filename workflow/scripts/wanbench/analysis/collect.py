"""Read the traces of a grid, and set aside, with the reason, those that must not be used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wanbench.analysis.measured_runs import judged
from wanbench.trace.reader import Trace, read_trace
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError
from wanbench.util.lifeline import map_in_processes
from wanbench.util.text import one_line


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


def collect(
    files: Sequence[Path], expected: Expected | None, limits: Limits, processes: int = 1
) -> tuple[list[Trace], list[Excluded]]:
    """Traces that describe the grid, judged, in the order of `files`, and those that do not.

    Snakemake's record of what made a file can be lost or overruled (`--touch`); the trace's own cannot.

    Args:
        expected: None for traces that stand for themselves, as those of another machine do.
        limits: for the verdict on each.
        processes: that read at the same time.
    """
    items = map_in_processes(partial(_read, expected=expected, limits=limits), files, processes=processes)
    traces = [item for item in items if isinstance(item, Trace)]
    return traces, [item for item in items if isinstance(item, Excluded)]


def case_of(file: Path) -> str:
    """Name of the case whose trace a file holds; the trace must say the same."""
    return file.name.removesuffix(".gz").removesuffix(".json")


def _read(file: Path, expected: Expected | None, limits: Limits) -> Trace | Excluded:
    case = case_of(file)
    # Traces that stand for themselves cannot be measured again here.
    remedy = "" if expected is None else f"; --forcerun {file} measures it again"
    try:
        trace = read_trace(file)
    except InputError as error:
        return Excluded(case, f"{error}{remedy}")
    reason = _stale(trace, case, expected)
    return judged(trace, limits) if reason is None else Excluded(case, f"{file}: {reason}{remedy}")


def _stale(trace: Trace, case: str, expected: Expected | None) -> str | None:
    if trace.case["name"] != case:
        return f"case.name: holds case {trace.case['name']!r}"
    if expected is None:
        return None
    for key, now, what in (
        ("case_sha256", expected.case_sha256[case], "settings of this case"),
        ("measure", expected.measure, "measuring code"),
        ("env", expected.env, "measuring environment"),
    ):
        if trace.digests[key] != now:
            return f"digests.{key}: measured with other {what}"
    return None
