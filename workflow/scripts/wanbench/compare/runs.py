"""Read both sides of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wanbench.analysis.collect import collect
from wanbench.compare.change_verdict import Comparison, compare
from wanbench.compare.sides import side_of
from wanbench.trace.verdict import Limits
from wanbench.util.errors import InputError
from wanbench.util.redaction import redacted


def compared_runs(
    baseline: str,
    baseline_files: Sequence[Path],
    traces: Sequence[Path],
    stale: Mapping[str, str],
    limits: Limits,
    busy_machine_pct: float,
    processes: int = 1,
) -> Comparison:
    """The comparison of this run's traces with a baseline.

    Args:
        baseline: as the user named it; the comparison names it without home folder and account.
        baseline_files: its traces.
        stale: traces of this run that must not be used, by case, with the reason.
        limits: for the verdict on each trace of both sides, whatever it was measured with.
        busy_machine_pct: as `side_of` takes it.
        processes: that read at the same time.

    Raises:
        InputError: no trace of the baseline can be used.
    """
    usable = [file for file in traces if file.name.removesuffix(".json") not in stale]
    new, unread = collect(usable, None, limits, processes)
    old, unusable = collect(baseline_files, None, limits, processes)
    if not old:
        reasons = [item.reason for item in unusable]
        raise InputError("\n".join([f"baseline {baseline}: no trace can be used:", *reasons]))
    excluded = [f"this run: {reason}" for reason in (*stale.values(), *(item.reason for item in unread))]
    excluded += [redacted(f"baseline: {item.reason}") for item in unusable]
    return compare(redacted(baseline), side_of(old, busy_machine_pct), side_of(new, busy_machine_pct), excluded)
