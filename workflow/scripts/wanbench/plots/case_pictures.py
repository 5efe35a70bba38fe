"""The pictures of one case, from its trace."""

from pathlib import Path

from wanbench.analysis.collect import Expected, collect
from wanbench.plots.picture import Picture, notice
from wanbench.plots.steps import step_times
from wanbench.plots.timeline import timeline
from wanbench.trace.reader import read_counters
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError


def case_pictures(file: Path, expected: Expected | None, limits: Limits) -> dict[str, Picture]:
    """Pictures by file stem. A trace that the report leaves out is not drawn: the pictures say why.

    Args:
        expected, limits: as for `collect`.
    """
    traces, excluded = collect([file], expected, limits)
    if excluded:
        return _notices(excluded[0].case, excluded[0].reason)
    (trace,) = traces
    try:
        counters = read_counters(file)
    except InputError as error:
        return _notices(trace.case["name"], str(error))
    return {"timeline": timeline(trace, counters), "steps": step_times(trace)}


def _notices(case: str, reason: str) -> dict[str, Picture]:
    return {
        "timeline": notice(f"{case}: timeline", f"Excluded: {reason}"),
        "steps": notice(f"{case}: time of each step", f"Excluded: {reason}"),
    }
