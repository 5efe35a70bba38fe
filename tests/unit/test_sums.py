"""The energy of a step or a generation is known where its stages are too short or too interleaved to have one each."""

from typing import Any

import pandas as pd
import pytest

from measured_cases import spread
from reports import figures_of, kept
from wanbench.analysis.generations import GENERATION, energies
from wanbench.telemetry.samples import Series, energy_of

INFERENCE, LOADING, DECODING = "Step_1_Inference", "Step_1_Loading", "VAE_Decoding"


def stage(name: str, start_s: float, extent_s: float, time_s: float | None = None, **measures: float) -> dict[str, Any]:
    head = {"trace": 0, "generation": 0.0, "stage": name, "is_inference": name == INFERENCE, "start_s": start_s}
    energy = {"energy_j": None, "extent_energy_j": 300 * extent_s}
    return head | {"extent_s": extent_s, "time_s": time_s or extent_s} | energy | measures


def energy_j(*stages: dict[str, Any]) -> float:
    return energies(pd.DataFrame(stages).astype({"energy_j": float, "extent_energy_j": float}), GENERATION).item()


def test_a_counter_grows_evenly_between_readings_and_is_not_known_beyond_them() -> None:
    counter = Series([10, 20, 40], [10.0, 20.0, 60.0])
    assert energy_of(counter, [(10, 40)]) == 50.0
    assert energy_of(counter, [(15, 30)]) == pytest.approx(25.0)
    assert energy_of(counter, [(10, 20), (30, 40)]) == pytest.approx(30.0)
    assert energy_of(counter, [(20, 20)]) == 0.0
    for unknown in ([(9, 30)], [(15, 41)], []):
        assert energy_of(counter, unknown) is None
    assert energy_of(Series([10], [10.0]), [(10, 10)]) is None


def test_energy_of_interleaved_stages_is_that_of_the_whole_and_what_a_stage_has_itself_is_not_replaced() -> None:
    assert energy_j(stage(INFERENCE, 10.0, 6.0, 3.0), stage(LOADING, 10.1, 5.8, 3.0)) == pytest.approx(6 * 300)
    assert energy_j(stage(DECODING, 10.0, 5.0, energy_j=7.0), stage(INFERENCE, 15.0, 0.01)) == 7.0


@pytest.mark.parametrize(
    "stages",
    [
        [stage(INFERENCE, 0.5, 3.0, extent_energy_j=None)],
        [stage(INFERENCE, 10.0, 0.5)],
        [stage(INFERENCE, 10.0, 2.0), stage(DECODING, 13.0, 2.0)],
        [stage(INFERENCE, 10.0, 2.0), stage(DECODING, 12.0, 2.0, extent_energy_j=None)],
    ],
    ids=["not read", "short", "something else in between", "part of it not read"],
)
def test_there_is_no_energy_where_the_counter_does_not_tell(stages: list[dict[str, Any]]) -> None:
    assert pd.isna(energy_j(*stages))


def test_the_energy_of_compilation_is_not_in_it() -> None:
    step = stage(INFERENCE, 10.0, 8.0, 6.0)
    assert energy_j(step, stage("Compilation", 11.0, 2.0, energy_j=900.0)) == pytest.approx(8 * 300 - 900)
    assert pd.isna(energy_j(step, stage("Compilation", 11.0, 2.0)))


@pytest.mark.parametrize("case", ["T2V_A14B_480p_sequential", "T2V_A14B_480p_group_stream"])
def test_a_case_whose_weight_transfers_lie_in_between_has_energy_of_step_and_generation(case: str) -> None:
    trace = kept(case)
    figures, compared = figures_of(trace), spread(trace)
    assert 250 < figures.step_energy_j / figures.step_s < 700, "W"
    assert figures.generation_energy_j > 2 * figures.step_energy_j
    initialised_j = next(s.measures["energy_j"] for s in trace.stages if s.name == "Model_Initialization")
    assert figures.generation_energy_j + initialised_j == pytest.approx(figures.energy_j, rel=0.01)
    assert compared["step_energy_j"][0] == figures.step_energy_j
    assert compared["generation_energy_j"][0] == figures.generation_energy_j
