"""Read the traces of a grid, set aside those that must not be used, and judge the others by the limits of now."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wanbench.registry.stages import VIDEO_EXPORT
from wanbench.trace.reader import StageRecord, Trace, read_trace
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

    No median is to hold a contaminated generation or, beside warm ones, the first of the process. No share of the CPU
    is to be one that cannot be.
    """
    times = generation_times((each.name, each.generation, each.measured, each.measures) for each in trace.stages)
    verdict = verdict_on(trace.quality, times, limits)
    excluded = {each["generation"]: " ".join(each["failed_checks"]) for each in verdict["excluded"]}
    stages = [
        replace(stage, measured=False, excluded=excluded[stage.generation]) if stage.generation in excluded else stage
        for stage in map(_with_possible_shares, trace.stages)
    ]
    measured = _measured_generations(stages)
    stages = [stage if stage.generation in measured else replace(stage, measured=False) for stage in stages]
    return replace(trace, quality=trace.quality | verdict | {"limits": asdict(limits)}, stages=stages)


def _with_possible_shares(stage: StageRecord) -> StageRecord:
    """The stage with at most 100 % of the CPU: a tick that the kernel counts in a short one may have begun before it.

    It cannot be cut from single samples, whose rounding cancels out in the mean over a stage.
    """
    above = {key: 100.0 for key in _CPU_SHARES if (stage.measures.get(key) or 0) > 100}
    return replace(stage, measures=stage.measures | above) if above else stage


def _measured_generations(stages: Sequence[StageRecord]) -> Collection[int | None]:
    """The warm ones of those that ran to their end, or else the cold one, or else what there is."""
    ends = (stage for stage in stages if stage.name == VIDEO_EXPORT and stage.measured)
    complete = [stage.generation for stage in ends if not stage.measures.get("interrupted")]
    warm = [number for number in complete if number > 0]
    return {None, *(warm or complete)} if complete else {stage.generation for stage in stages}
