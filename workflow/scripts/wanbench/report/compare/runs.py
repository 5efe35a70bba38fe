"""Read both sides of a comparison."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from wanbench.errors import InputError
from wanbench.redact import redacted
from wanbench.report.collect import LeftOut, made_of_parts
from wanbench.report.compare.measured import MeasuredCase, measured_cases
from wanbench.report.compare.seed_report import read_seed_report
from wanbench.report.compare.verdict import Comparison, compare
from wanbench.trace.verdict import Limits


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
    left_out = [f"this run: {reason}" for reason in (*stale.values(), *(item.reason for item in unread))]
    if baseline_files[0].suffix not in (".json", ".gz"):
        report = read_seed_report(baseline_files[0])
        return compare(named, report.cases, new, left_out, report.notes)
    old, unusable = _measured(baseline_files, limits, busy_machine_pct, processes)
    if not old:
        raise InputError(
            "\n".join([f"baseline {baseline}: no trace can be used:", *(item.reason for item in unusable)])
        )
    left_out += [redacted(f"baseline: {item.reason}") for item in unusable]
    return compare(named, old, new, left_out)


def _measured(
    files: Sequence[Path], limits: Limits, busy_machine_pct: float, processes: int
) -> tuple[list[MeasuredCase], list[LeftOut]]:
    make = partial(measured_cases, busy_machine_pct=busy_machine_pct)
    parts, left_out = made_of_parts(make, files, None, limits, processes)
    return [case for part in parts for case in part], left_out
