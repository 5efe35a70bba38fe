"""The pictures of one case, from its trace."""

from pathlib import Path

from wanbench.errors import InputError
from wanbench.report.collect import Expected, collect
from wanbench.report.plots.picture import Picture, notice
from wanbench.report.plots.steps import step_times
from wanbench.report.plots.timeline import timeline
from wanbench.trace.reader import read_counters
from wanbench.trace.verdict import Limits


def case_pictures(file: Path, expected: Expected | None, limits: Limits) -> dict[str, Picture]:
    """Pictures by file stem. A trace that the report leaves out is not drawn: the pictures say why.

    Args:
        expected, limits: as for `collect`.
    """
    traces, left_out = collect([file], expected, limits)
    if left_out:
        return _notices(left_out[0].case, left_out[0].reason)
    (trace,) = traces
    try:
        counters = read_counters(file)
    except InputError as error:
        return _notices(trace.case["name"], str(error))
    return {"timeline": timeline(trace, counters), "steps": step_times(trace)}


def _notices(case: str, reason: str) -> dict[str, Picture]:
    return {
        "timeline": notice(f"{case}: timeline", f"Left out: {reason}"),
        "steps": notice(f"{case}: time of each step", f"Left out: {reason}"),
    }
