"""Read both sides of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from wanbench.errors import InputError
from wanbench.redact import redacted
from wanbench.report.collect import collect
from wanbench.report.compare.measured import measured_case
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
        busy_machine_pct: as `measured_case` takes it.
        processes: that read at the same time.

    Raises:
        InputError: no trace of the baseline can be used, or its report cannot be read.
    """
    named = redacted(baseline)
    usable = [file for file in traces if file.name.removesuffix(".json") not in stale]
    new, unread = collect(usable, None, limits, processes)
    left_out = [f"this run: {reason}" for reason in (*stale.values(), *(item.reason for item in unread))]
    if baseline_files[0].suffix not in (".json", ".gz"):
        report = read_seed_report(baseline_files[0])
        return compare(
            named, report.cases, [measured_case(trace, busy_machine_pct) for trace in new], left_out, report.notes
        )
    old, unusable = collect(list(baseline_files), None, limits, processes)
    if not old:
        raise InputError(
            "\n".join([f"baseline {baseline}: no trace can be used:", *(item.reason for item in unusable)])
        )
    left_out += [redacted(f"baseline: {item.reason}") for item in unusable]
    cases = [[measured_case(trace, busy_machine_pct) for trace in side] for side in (old, new)]
    return compare(named, *cases, left_out)
