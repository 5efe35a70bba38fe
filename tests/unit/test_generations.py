"""The first generation of a process is cold: it stands apart, and figures are of it only where there is no other."""

import re
from pathlib import Path

import pytest

from measured_cases import spread
from reports import figures_of, full_case, made, made_tables, report, tables
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
    assert f"Figures are of {repeats + warmup - 1} of {repeats + warmup} generations." in report(trace)
    lines = statistics(trace)
    assert (lines["First Step"], lines["First Step of the Cold Generation"]) == ("2.00 s", "6.00 s")
    compared = spread(trace)
    assert (compared["first_step_s"][0], compared["generation_s"][0]) == (2.0, 10.75)
    stages = made_tables(trace).stages
    assert 0 not in set(stages[stages["measured"]]["generation"].dropna())
    assert stages["excluded"].isna().all()


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


def test_energy_per_second_of_video_is_that_of_one_generation_without_compilation(tmp_path: Path) -> None:
    trace = repeated(tmp_path)
    figures = figures_of(trace)
    assert figures.generation_energy_j == pytest.approx(600 * 10.75)
    assert figures.video_second_energy_j == pytest.approx(600 * 10.75 / (121 / 24))
    assert statistics(trace)["Energy per Second of Video"] == "1279 J"


def test_a_figure_that_one_of_the_generations_lacks_is_not_that_of_the_others(tmp_path: Path) -> None:
    """As T5_Encoding of 5B_704p_warm: 31 J in the second at a time of 0.10 s between both, which is 300 W of 132.

    A stage near the length of a sampling interval was seen in one generation and not in another.
    """
    sampled = {"sm_activity_pct": 90.0, "comp_load_pct_s": 45.0, "energy_j": 31.0, "power_w": 132.0}

    def encoding(lacks: int) -> list[str]:
        def alter(content: dict) -> None:
            for event in (event for event in content["traceEvents"] if event["name"] == "T5_Encoding"):
                if event["args"]["generation"] == lacks:
                    for measure in (*sampled, "cpu_pct", "sys_mem_bytes"):
                        event["args"].pop(measure, None)

        case = full_case(steps=3, repeats=3)
        row = rows_of(made(tmp_path, case, measures={"T5_Encoding": sampled}, alter=alter))["T5_Encoding"]
        return [row[column] for column in ("Time (s)", "SM Act (%)", "CPU (%)", "Sys Mem (GB)")]

    assert encoding(lacks=1) == ["0.50", *["n/a"] * 3]
    # That of the first does not count.
    assert encoding(lacks=0) == ["0.50", "90.0", "25.0", "8.00"]
