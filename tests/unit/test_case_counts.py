"""The counts of cases, at the head of the report and at the end of a run."""

from pathlib import Path

from reports import case_trace, findings, full_case, made, report
from wanbench.analysis.tables import cases_table
from wanbench.findings.case_counts import case_counts
from wanbench.measure.outcome import Outcome
from wanbench.report.grid_outcome import outcome_of
from wanbench.trace.reader import Trace
from wanbench.util.text import visible

# Half of the machine was somebody else's.
BUSY = {".*": {"cpu_pct": 80.0, "process_cpu_pct": 10.0}}


def in_words(*traces: Trace) -> str:
    return case_counts(cases_table(traces), findings(*traces), visible)


def test_cases_that_passed_without_a_warning_are_counted_alone(tmp_path: Path) -> None:
    traces = [case_trace(tmp_path, full_case(name)) for name in ("a", "b")]
    assert in_words(*traces) == "2 cases ok"
    assert "\n2 cases ok.\n" in report(*traces)
    nothing = {"ok": 2, "with_failed_checks": 0, "with_warnings": 0}
    assert outcome_of(cases_table(traces), findings(*traces)) == nothing


def test_doubtful_cases_are_counted_and_named(tmp_path: Path) -> None:
    ok = case_trace(tmp_path, full_case("a"))
    busy = made(tmp_path, full_case("b_1"), measures=BUSY)
    changed = made(tmp_path, full_case("c"), [2.0] * 25 + [6.0] * 25)
    killed = made(tmp_path, full_case("killed"), until="VAE_Decoding", outcome=Outcome("killed"))
    assert in_words(ok, busy) == "2 cases ok, 1 with warnings (b_1)"
    assert in_words(ok, busy, changed, killed) == (
        "3 cases ok, 1 killed (killed), 1 failed a check (c), 2 with warnings (b_1, c)"
    )
    assert in_words(killed) == "0 cases ok, 1 killed (killed)"
    assert "\n3 cases ok, 1 failed a check (c), 2 with warnings (b\\_1, c).\n" in report(ok, busy, changed)
    counts = {"ok": 3, "with_failed_checks": 1, "with_warnings": 2}
    assert outcome_of(cases_table([ok, busy, changed]), findings(ok, busy, changed)) == counts
