"""The energy of a step or a generation is known where its stages are too short or too interleaved to have one each."""

from dataclasses import replace

import pytest

from conftest import ROOT
from wanbench.analysis.figures import figures_of, steps_of, typical_steps
from wanbench.analysis.generations import generations_of
from wanbench.analysis.sums import energy_of
from wanbench.compare.measured_cases import measured_case
from wanbench.trace.reader import Readings, StageRecord, Trace, read_trace
from wanbench.util.counter import growth

KEPT = ROOT / "results/reference/h200/traces"
# 300 W throughout, read every 0.1 s from 1 to 40 s.
COUNTER = Readings([i / 10 for i in range(10, 401)], [300.0 * i / 10 for i in range(10, 401)])


def stage(start_s: float, extent_s: float, time_s: float | None = None, **measures: float) -> StageRecord:
    return StageRecord("Step_1_Inference", 0, True, start_s, extent_s, {"time_s": time_s or extent_s} | measures)


def kept(case: str) -> Trace:
    return read_trace(KEPT / f"{case}.json.gz")


def test_a_counter_grows_evenly_between_readings_and_is_not_known_beyond_them() -> None:
    times, values = [1.0, 2.0, 4.0], [10.0, 20.0, 60.0]
    assert growth(times, values, 1.0, 4.0) == 50.0
    assert growth(times, values, 1.5, 3.0) == pytest.approx(25.0)
    assert growth(times, values, 2.0, 2.0) == 0.0
    assert growth(times, values, 0.9, 3.0) is None
    assert growth(times, values, 1.5, 4.1) is None
    assert growth([1.0], [10.0], 1.0, 1.0) is None


def test_energy_of_interleaved_stages_is_what_the_counter_grew_by() -> None:
    step = [stage(10.0, 5.9, 3.0), stage(10.1, 5.9, 3.0)]
    assert energy_of(step, COUNTER) == pytest.approx(6 * 300)
    assert energy_of(step, None) is None


def test_energy_that_the_stages_have_themselves_is_not_replaced() -> None:
    assert energy_of([stage(10.0, 5.0, energy_j=7.0), stage(15.0, 0.01)], COUNTER) == 7.0


def test_there_is_no_energy_where_the_counter_does_not_tell() -> None:
    assert energy_of([], COUNTER) is None
    assert energy_of([stage(0.5, 3.0)], COUNTER) is None, "it begins before the counter was read"
    assert energy_of([stage(38.0, 3.0)], COUNTER) is None, "it ends after the counter was read"
    assert energy_of([stage(10.0, 0.5)], COUNTER) is None, "it is short"
    assert energy_of([stage(10.0, 2.0), stage(13.0, 2.0)], COUNTER) is None, "something else lies in between"


def test_energy_of_what_was_taken_out_does_not_count() -> None:
    stages = [stage(10.0, 1.0), stage(13.0, 5.0)]
    assert energy_of(stages, COUNTER, [stage(11.0, 2.0, energy_j=900.0)]) == pytest.approx(8 * 300 - 900)
    assert energy_of(stages, COUNTER, [stage(11.0, 2.0)]) is None


@pytest.mark.parametrize("case", ["5B_704p_compiled", "02_Efficiency_Quality_704p", "I2V_A14B_720p_offload_compiled"])
def test_counter_and_stages_agree_where_both_are_known(case: str) -> None:
    trace = kept(case)
    bare = [replace(stage, measures=stage.measures | {"energy_j": None}) for stage in trace.stages]
    pairs = zip(generations_of(trace.stages), generations_of(bare, trace.energy_counter), strict=True)
    for added_up, measured in pairs:
        assert measured.energy_j == pytest.approx(added_up.energy_j, rel=0.01)
        assert added_up.energy_j > 10_000
    steps = zip(typical_steps(steps_of(trace.stages)), typical_steps(steps_of(bare, trace.energy_counter)), strict=True)
    for added_up, measured in steps:
        assert measured.energy_j == pytest.approx(added_up.energy_j, rel=0.01)


@pytest.mark.parametrize("case", ["T2V_A14B_480p_sequential", "T2V_A14B_480p_group_stream"])
def test_a_case_whose_weights_move_in_between_has_energy_of_step_and_generation(case: str) -> None:
    trace = kept(case)
    figures, compared = figures_of(trace), measured_case(trace).figures
    assert 250 < figures.step_energy_j / figures.step_s < 700, "W"
    assert figures.generation_energy_j > 2 * figures.step_energy_j
    initialised_j = next(s.measures["energy_j"] for s in trace.stages if s.name == "Model_Initialization")
    assert figures.generation_energy_j + initialised_j == pytest.approx(figures.energy_j, rel=0.01)
    assert compared["step_energy_j"].value == figures.step_energy_j
    assert compared["generation_energy_j"].value == figures.generation_energy_j
