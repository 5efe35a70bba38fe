"""The pictures of one case, from its rows of the tables and the samples of its trace."""

from pathlib import Path

from wanbench.analysis.collect import Expected, collect
from wanbench.analysis.tables import records_by_case, tables_of
from wanbench.plots.picture import Picture, notice
from wanbench.plots.steps import step_times
from wanbench.plots.timeline import timeline
from wanbench.trace.reader import read_counters
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError


def case_pictures(file: Path, expected: Expected | None, limits: Limits) -> dict[str, Picture]:
    """Pictures by file stem. A trace that the report excludes is not drawn: the pictures name the reason.

    Args:
        expected, limits: as for `collect`.
    """
    traces, excluded = collect([file], expected, limits)
    if excluded:
        return _notices(excluded[0].case, excluded[0].reason)
    name = traces[0].case["name"]
    try:
        counters = read_counters(file)
    except InputError as error:
        return _notices(name, str(error))
    tables = tables_of(traces)
    (case,) = records_by_case(tables.cases)[name]
    stages = records_by_case(tables.stages).get(name, [])
    return {"timeline": timeline(case, stages, counters), "steps": step_times(case, stages)}


def _notices(case: str, reason: str) -> dict[str, Picture]:
    titles = {"timeline": "timeline", "steps": "time of each step"}
    return {stem: notice(f"{case}: {title}", f"Excluded: {reason}") for stem, title in titles.items()}
