"""The first generation of a process is cold: it stands apart, and figures are of it only where there is no other."""

import re
from pathlib import Path

import pytest

from measured_cases import spread
from reports import figures_of, full_case, made, report, tables
from wanbench.analysis.tables import cases_table, stages_table
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace

COLD_S = 4.0


def repeated(folder: Path, repeats: int = 2, warmup: int = 0) -> Trace:
    """Steps of 2 s, of which the first of the process takes longer, at half the power, and compiles."""

    def cold_first_step(trace: dict) -> None:
        for event in (event for event in trace["traceEvents"] if event.get("cat") == "stage"):
            args = event["args"]
            cold = args["generation"] == 0 and event["name"] == "Step_0_Inference"
            args["time_s"] += COLD_S if cold or event["name"] == "Total_Execution" else 0
            args["energy_j"] = args["time_s"] * (300 if cold else 600)

    case = full_case("repeated", steps=3, repeats=repeats, warmup=warmup, compile="repeated_blocks")
    return made(folder, case, alter=cold_first_step, compile_s=9.0)


def rows_of(trace: Trace) -> dict[str, dict[str, str]]:
    return {row["Stage"]: row for row in tables(report(trace), "Stage")[0]}


def statistics(trace: Trace) -> dict[str, str]:
    section = report(trace).split("### Inference Statistics")[1].split("###")[0]
    return dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", section, re.M))


@pytest.mark.parametrize(("repeats", "warmup"), [(2, 0), (3, 0), (2, 1)])
def test_the_cold_generation_is_in_no_median_and_stands_apart(tmp_path: Path, repeats: int, warmup: int) -> None:
    trace = repeated(tmp_path, repeats, warmup)
    figures = figures_of(trace)
    assert (figures.step_s, figures.step_mean_s, figures.first_step_s) == (2.0, 2.0, 2.0)
    assert figures.cold_first_step_s == 2 + COLD_S
    row = rows_of(trace)["Step_0_Inference"]
    assert [row[column] for column in ("Time (s)", "Energy (J)", "First (s)")] == ["2.00", "1200", "6.00"]
    assert ("Min (s)" in row) == (repeats + warmup > 2)
    lines = statistics(trace)
    assert (lines["First Step"], lines["First Step of the Cold Generation"]) == ("2.00 s", "6.00 s")
    compared = spread(trace)
    assert (compared["first_step_s"][0], compared["generation_s"][0]) == (2.0, 10.75)


def test_compilation_stands_in_its_row_and_rows_add_up(tmp_path: Path) -> None:
    rows = rows_of(repeated(tmp_path))
    assert (rows["Compilation"]["Time (s)"], rows["Compilation"]["First (s)"]) == ("9.00", "9.00")
    leaves = [row for name, row in rows.items() if name not in ("Total_Execution", "Process_Startup")]
    total_s = float(rows["Total_Execution"]["Time (s)"])
    assert sum(float(row["Time (s)"]) for row in leaves) == pytest.approx(total_s, abs=0.05)


def test_a_single_generation_is_what_is_shown_and_the_report_says_that_it_is_cold(tmp_path: Path) -> None:
    trace = repeated(tmp_path, repeats=1)
    figures = figures_of(trace)
    assert figures.first_step_s == figures.cold_first_step_s == 2 + COLD_S
    text = report(trace)
    assert "Figures are of the first generation." in text
    assert "First Step of the Cold Generation" not in statistics(trace)


def test_the_report_says_which_generations_count(tmp_path: Path) -> None:
    assert "Figures are of 1 of 2 generations." in report(repeated(tmp_path))
    text = report(repeated(tmp_path, repeats=3, warmup=1))
    assert "Figures are of 3 of 4 generations." in text


def test_where_the_second_generation_is_cut_short_figures_are_of_the_first(tmp_path: Path) -> None:
    def without_last_export(trace: dict) -> None:
        events = trace["traceEvents"]
        exports = [event for event in events if event["name"] == "Video_Export" and event["args"]["generation"] == 1]
        events.remove(exports[0])

    outcome = Outcome("oom", "CUDA out of memory")
    trace = made(tmp_path, full_case("cut", steps=3, repeats=2), alter=without_last_export, outcome=outcome)
    assert {stage.generation for stage in trace.stages if stage.measured} == {None, 0}
    assert "Figures are of 1 of 2 generations" in report(trace)


def test_energy_per_second_of_video_is_that_of_one_generation_without_compilation(tmp_path: Path) -> None:
    trace = repeated(tmp_path)
    figures = figures_of(trace)
    assert figures.generation_energy_j == pytest.approx(600 * 10.75)
    assert figures.video_second_energy_j == pytest.approx(600 * 10.75 / (121 / 24))
    assert statistics(trace)["Energy per Second of Video"] == "1279 J"


def test_the_tables_say_what_counts(tmp_path: Path) -> None:
    trace = repeated(tmp_path)
    stages = stages_table([trace])
    assert set(stages[stages["measured"]]["generation"].dropna()) == {1}
    assert stages["excluded"].isna().all()
    assert cases_table([trace])["cold_first_step_s"].item() == 2 + COLD_S
