"""Read the traces of a grid, set aside those that must not be used, and judge the others by the limits of now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wanbench.trace.reader import Trace, read_trace
from wanbench.trace.verdict import Limits, generation_times, verdict_on
from wanbench.util.errors import InputError
from wanbench.util.lifeline import map_in_processes
from wanbench.util.text import one_line

_CPU_SHARES = ("cpu_pct", "process_cpu_pct")
# What a trace's digests must be to describe the grid as it is now, with what each is of.
_DIGESTS = {"case_sha256": "settings of this case", "measure": "measuring code", "env": "measuring environment"}


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
    reason = "{}: the grid has no such case"
    return [Excluded(one_line(Path(file).stem), reason.format(one_line(file)), of_grid=False) for file in files]


def collect(
    files: Sequence[Path], expected: Mapping[str, Any] | None, limits: Limits, processes: int = 1
) -> tuple[list[Trace], list[Excluded]]:
    """Traces that describe the grid, judged, in the order of `files`, and those that do not.

    Snakemake's record of what made a file can be lost or overruled (`--touch`); the trace's own cannot.

    Args:
        expected: the digests of now, `case_sha256` by case; None for traces that stand for themselves, as those of
            another machine do.
    """
    items = map_in_processes(partial(_read, expected=expected, limits=limits), files, processes=processes)
    traces = [item for item in items if isinstance(item, Trace)]
    return traces, [item for item in items if isinstance(item, Excluded)]


def case_of(file: Path) -> str:
    """Name of the case whose trace a file holds; the trace must say the same."""
    return file.name.removesuffix(".gz").removesuffix(".json")


def _read(file: Path, expected: Mapping[str, Any] | None, limits: Limits) -> Trace | Excluded:
    case = case_of(file)
    # Traces that stand for themselves cannot be measured again here.
    remedy = "" if expected is None else f"; --forcerun {file} measures it again"
    try:
        trace = read_trace(file)
    except InputError as error:
        return Excluded(case, f"{error}{remedy}")
    reason = _stale(trace, case, expected)
    return judged(trace, limits) if reason is None else Excluded(case, f"{file}: {reason}{remedy}")


def _stale(trace: Trace, case: str, expected: Mapping[str, Any] | None) -> str | None:
    if trace.case["name"] != case:
        return f"case.name: holds case {trace.case['name']!r}"
    now = expected and expected | {"case_sha256": expected["case_sha256"][case]}
    other = [key for key in _DIGESTS if now and trace.digests[key] != now[key]]
    return f"digests.{other[0]}: measured with other {_DIGESTS[other[0]]}" if other else None


def judged(trace: Trace, limits: Limits) -> Trace:
    """The trace with its verdict made anew, in which only the generations are measured that figures are made of.

    No median is to hold a contaminated generation or, beside warm ones, the first of the process.
    """
    times = generation_times((each.name, each.generation, each.measured, each.measures) for each in trace.stages)
    verdict = verdict_on(trace.quality, times, limits)
    excluded = {each["generation"]: " ".join(each["failed_checks"]) for each in verdict["excluded"]}
    ended = [each.number for each in times if each.is_measured and each.number not in excluded]
    # The warm ones of those that ran to their end, or else the cold one, or else what there is.
    begun = {each.number for each in times} - excluded.keys()
    used = {None, *([number for number in ended if number > 0] or ended or begun)}
    stages = [
        replace(
            stage,
            measured=stage.measured and stage.generation in used,
            excluded=excluded.get(stage.generation),
            measures=_with_possible_shares(stage.measures),
        )
        for stage in trace.stages
    ]
    return replace(trace, quality=trace.quality | verdict | {"limits": asdict(limits)}, stages=stages)


def _with_possible_shares(measures: dict[str, Any]) -> dict[str, Any]:
    """At most 100 % of the CPU: a tick that the kernel counts in a short stage may have begun before it.

    It cannot be cut from single samples, whose rounding cancels out in the mean over a stage.
    """
    return measures | {key: 100.0 for key in _CPU_SHARES if (measures.get(key) or 0) > 100}
