"""Read both sides of a comparison."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from wanbench.analysis.collect import Excluded, made_of_parts
from wanbench.compare.change_verdict import Comparison, compare
from wanbench.compare.measured_cases import MeasuredCase, measured_cases
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
        baseline_files: its traces, or the one report.
        stale: traces of this run that must not be used, by case, with the reason.
        limits: for the verdict on each trace of both sides, whatever it was measured with.
        busy_machine_pct: as `measured_cases` takes it.
        processes: that read at the same time.

    Raises:
        InputError: no trace of the baseline can be used, or its report cannot be read.
    """
    named = redacted(baseline)
    usable = [file for file in traces if file.name.removesuffix(".json") not in stale]
    new, unread = _measured(usable, limits, busy_machine_pct, processes)
    excluded = [f"this run: {reason}" for reason in (*stale.values(), *(item.reason for item in unread))]
    old, unusable = _measured(baseline_files, limits, busy_machine_pct, processes)
    if not old:
        raise InputError(
            "\n".join([f"baseline {baseline}: no trace can be used:", *(item.reason for item in unusable)])
        )
    excluded += [redacted(f"baseline: {item.reason}") for item in unusable]
    return compare(named, old, new, excluded)


def _measured(
    files: Sequence[Path], limits: Limits, busy_machine_pct: float, processes: int
) -> tuple[list[MeasuredCase], list[Excluded]]:
    make = partial(measured_cases, busy_machine_pct=busy_machine_pct)
    parts, excluded = made_of_parts(make, files, None, limits, processes)
    return [case for part in parts for case in part], excluded
