"""The summary: what stands in it beside the reference's columns, and the counts of cases at the head of the report."""

from pathlib import Path

from reports import case_trace, findings, full_case, made, made_tables, report, tables
from wanbench.measure.outcome import Outcome
from wanbench.report.grid_outcome import cases_by_outcome
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace


def summary(*traces: Trace) -> list[dict[str, str]]:
    return tables(report(*traces), "Case")[0]


def test_only_what_differs_between_cases_has_a_column(tmp_path: Path) -> None:
    one = case_trace(tmp_path, full_case("one", steps=3))
    assert list(summary(one)[0])[7:] == ["Load", "Status", "Check"]
    settings = {"steps": 3, "repeats": 2, "offload": "model", "compile": "repeated_blocks"}
    both = summary(one, case_trace(tmp_path, full_case("two", **settings)))
    assert [(row["Steps"], row["Settings"]) for row in both] == [("3", ""), ("3 x 2", "compile: repeated\\_blocks")]
    assert "Model" not in both[0]


def test_what_disturbed_a_case_stands_beside_its_check(tmp_path: Path) -> None:
    busy, quiet = (
        {"Total_Execution": {"cpu_pct": all_pct, "process_cpu_pct": own_pct}}
        for all_pct, own_pct in ((99.0, 33.0), (76.0, 74.0))
    )
    runs = {
        "quiet": ([2.0] * 9, quiet, "passed"),
        "busy": ([2.0] * 9, busy, "passed, busy machine"),
        "scattered": ([0.9, 0.1, 2.2, 0.2, 1.9, 0.1, 0.3, 2.1, 0.2], quiet, "passed, step times scatter"),
        "changed": ([2.0] * 10 + [6.0] * 10, busy, "step time changed, busy machine"),
    }
    traces = [
        made(tmp_path, full_case(name, steps=len(times_s)), times_s, measures=measures)
        for name, (times_s, measures, _) in runs.items()
    ]
    assert {row["Case"]: row["Check"] for row in summary(*traces)} == {name: runs[name][-1] for name in runs}


def test_a_median_of_a_single_step_is_marked_in_its_case(tmp_path: Path) -> None:
    short = case_trace(tmp_path, full_case("short", "T2V-A14B", steps=3), experts=["high_noise"] * 2 + ["low_noise"])
    text = report(short, case_trace(tmp_path, full_case("enough", steps=3)))
    of_short, of_enough = text.split("## Case: ")[1:3]
    assert "- **Median Time per Step**: 2.00 s (1 step)\n" in of_short
    assert "- **Median Time per Step**: 2.00 s\n" in of_enough


def test_cases_are_counted_and_doubtful_ones_are_named_at_the_head_and_at_the_end_of_a_run(tmp_path: Path) -> None:
    def in_words(*traces: Trace) -> str:
        outcome = cases_by_outcome(made_tables(*traces).cases, findings(*traces))
        return rendered("counts.j2", outcome=outcome, written="visible")

    ok = case_trace(tmp_path, full_case("a"))
    # Half of the machine was somebody else's.
    busy = made(tmp_path, full_case("b_1"), measures={".*": {"cpu_pct": 80.0, "process_cpu_pct": 10.0}})
    changed = made(tmp_path, full_case("c"), [2.0] * 25 + [6.0] * 25)
    killed = made(tmp_path, full_case("killed"), until="VAE_Decoding", outcome=Outcome("killed"))
    assert in_words(ok) == "1 case ok"
    assert in_words(ok, busy) == "2 cases ok, 1 with warnings (b_1)"
    assert in_words(ok, busy, changed, killed) == (
        "3 cases ok, 1 killed (killed), 1 failed a check (c), 2 with warnings (b_1, c)"
    )
    assert in_words(killed) == "0 cases ok, 1 killed (killed)"
    assert "\n3 cases ok, 1 failed a check (c), 2 with warnings (b\\_1, c).\n" in report(ok, busy, changed)
    named = {"ok": ["a", "b_1", "c"], "with_failed_checks": ["c"], "with_warnings": ["b_1", "c"]}
    assert cases_by_outcome(made_tables(ok, busy, changed).cases, findings(ok, busy, changed)) == named
