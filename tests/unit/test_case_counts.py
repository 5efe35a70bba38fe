"""The counts of cases, at the head of the report and at the end of a run."""

from pathlib import Path

from reports import case_trace, full_case, made, report, table_of_findings
from wanbench.analysis.tables import cases_table
from wanbench.measure.outcome import Outcome
from wanbench.report.grid_outcome import cases_by_outcome
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace

# Half of the machine was somebody else's.
BUSY = {".*": {"cpu_pct": 80.0, "process_cpu_pct": 10.0}}


def outcome(*traces: Trace) -> dict[str, list[str]]:
    return cases_by_outcome(cases_table(traces), table_of_findings(*traces))


def in_words(*traces: Trace) -> str:
    return rendered("counts.j2", outcome=outcome(*traces), written="visible")


def test_cases_that_passed_without_a_warning_are_counted_alone(tmp_path: Path) -> None:
    traces = [case_trace(tmp_path, full_case(name)) for name in ("a", "b")]
    assert in_words(*traces) == "2 cases ok"
    assert "\n2 cases ok.\n" in report(*traces)
    assert outcome(*traces) == {"ok": ["a", "b"], "with_failed_checks": [], "with_warnings": []}


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
    named = {"ok": ["a", "b_1", "c"], "with_failed_checks": ["c"], "with_warnings": ["b_1", "c"]}
    assert outcome(ok, busy, changed) == named
