"""Generations of a process: the cold one stands apart; each has an energy where its stages are too short for one."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from measured_cases import spread
from reports import figures_of, full_case, made, made_tables, recorded, report, tables
from wanbench.analysis.generations import GENERATION, energies
from wanbench.telemetry.samples import Series, energy_of
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


@pytest.mark.parametrize(("repeats", "warmup"), [(2, 0), (2, 1)])
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
    assert figures.generation_energy_j == pytest.approx(600 * 10.75)
    assert lines["Energy per Second of Video"] == f"{600 * 10.75 / (121 / 24):.0f} J"
    compared = spread(trace)
    assert (compared["first_step_s"][0], compared["generation_s"][0]) == (2.0, 10.75)
    stages = made_tables(trace).stages
    assert 0 not in set(stages[stages["measured"]]["generation"].dropna())
    assert stages["excluded"].isna().all()


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


def stage(name: str, start_s: float, extent_s: float, time_s: float | None = None) -> dict[str, Any]:
    """Without an energy of its own, at 300 W."""
    head = {"trace": 0, "generation": 0.0, "stage": name, "is_inference": name == "Step_1_Inference"}
    times = {"start_s": start_s, "extent_s": extent_s, "time_s": time_s or extent_s}
    return head | times | {"energy_j": None, "extent_energy_j": 300 * extent_s}


def energy_j(*stages: dict[str, Any]) -> float:
    return energies(pd.DataFrame(stages).astype({"energy_j": float}), GENERATION).item()


def test_a_counter_grows_evenly_between_readings_and_is_not_known_beyond_them() -> None:
    counter = Series([10, 20, 40], [10.0, 20.0, 60.0])
    assert energy_of(counter, [(10, 40)]) == 50.0
    assert energy_of(counter, [(15, 30)]) == pytest.approx(25.0)
    assert energy_of(counter, [(10, 20), (30, 40)]) == pytest.approx(30.0)
    assert energy_of(counter, [(20, 20)]) == 0.0
    for unknown in ([(9, 30)], [(15, 41)], []):
        assert energy_of(counter, unknown) is None
    assert energy_of(Series([10], [10.0]), [(10, 10)]) is None


def test_the_energy_of_stages_together_is_of_all_that_lies_in_them_but_compilation() -> None:
    step, decoding = stage("Step_1_Inference", 10.0, 8.0, 6.0), stage("VAE_Decoding", 18.0, 2.0)
    compilation = stage("Compilation", 11.0, 2.0)
    assert energy_j(step, compilation | {"energy_j": 900.0}, decoding) == pytest.approx(10 * 300 - 900)
    assert pd.isna(energy_j(step, compilation, decoding))
    assert pd.isna(energy_j(stage("Step_1_Inference", 10.0, 0.5)))
    # Something else in between.
    assert pd.isna(energy_j(stage("Step_1_Inference", 10.0, 2.0), stage("VAE_Decoding", 13.0, 2.0)))


@pytest.mark.parametrize("case", ["T2V_A14B_480p_sequential", "T2V_A14B_480p_group_stream"])
def test_a_case_whose_weight_transfers_lie_in_between_has_energy_of_step_and_generation(case: str) -> None:
    trace = recorded(case)
    figures, compared = figures_of(trace), spread(trace)
    assert 250 < figures.step_energy_j / figures.step_s < 700, "W"
    assert figures.generation_energy_j > 2 * figures.step_energy_j
    initialised_j = next(s.measures["energy_j"] for s in trace.stages if s.name == "Model_Initialization")
    assert figures.generation_energy_j + initialised_j == pytest.approx(figures.energy_j, rel=0.01)
    assert compared["step_energy_j"][0] == figures.step_energy_j
    assert compared["generation_energy_j"][0] == figures.generation_energy_j
