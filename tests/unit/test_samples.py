"""Samples and stages joined: absent where nothing was seen, exact where it was."""

import pytest

from traces import LIMITS
from wanbench.measure.quality import quality_of
from wanbench.measure.spans import Stage
from wanbench.registry import stages as stage_names
from wanbench.telemetry.samples import Samples, coverage, read_samples, stage_measures, was_seen
from wanbench.util.intervals import subtract

S = 1_000_000_000


def samples(values: list[dict], interval_s: float = 1.0, first_ns: int = 0) -> Samples:
    return Samples([first_ns + round(i * interval_s * S) for i in range(len(values))], values, interval_s, 0)


CPU = samples([{}, {"cpu_pct": 10.0}, {"cpu_pct": 30.0}, {"cpu_pct": 50.0}, {"cpu_pct": 70.0}])


def test_a_share_is_weighted_by_the_time_that_each_sample_covers() -> None:
    # Half of the sample of 30 %, all of 50 %, half of 70 %.
    measures = stage_measures(CPU, [(round(1.5 * S), round(3.5 * S))])
    assert measures["cpu_pct"] == pytest.approx((0.5 * 30 + 50 + 0.5 * 70) / 2)
    assert measures["samples"] == 2
    assert stage_measures(CPU, [(S, 2 * S), (3 * S, 4 * S)])["cpu_pct"] == pytest.approx(50)


def test_a_stage_shorter_than_the_interval_has_no_sampled_measure_but_its_count() -> None:
    memory = samples([{"sys_mem_bytes": 5.0, "cpu_pct": 3.0}] * 3)
    assert stage_measures(memory, [(S - 10, S + 10)]) == {"samples": 1}


def every(period_s: float, length_s: float, count: int) -> list[tuple[int, int]]:
    return [(round(i * period_s * S), round((i * period_s + length_s) * S)) for i in range(count)]


@pytest.mark.parametrize(
    ("intervals", "seen"),
    [
        ([(0, S)], True),
        ([(0, S - 1)], False),
        ([], False),
        # Waits of 10 ms all over 20 s: the samples are of the time between them.
        (every(0.1, 0.01, 200), False),
        # The rest of that time, in pieces that are too short alone.
        (every(0.1, 0.09, 200), True),
        # In turn with something else, of which the samples hold more than a tenth.
        (every(0.1, 0.089, 200), False),
        # A long piece and short ones: the larger part of the time decides.
        ([(0, 2 * S), *((s, t) for s, t in every(5, 0.5, 5) if s)], True),
        ([(0, 2 * S), *((s, t) for s, t in every(5, 0.5, 6) if s)], False),
    ],
)
def test_a_stage_in_pieces_is_seen_where_samples_can_tell(intervals: list[tuple[int, int]], seen: bool) -> None:
    assert was_seen(intervals, S, 0.9) is seen


def test_waits_between_kernels_do_not_take_the_kernels_load() -> None:
    busy = samples([{"sm_activity_pct": 90.0, "energy_j": i * 60.0, "power_w": 600.0} for i in range(30)], 0.1)
    waits = every(0.1, 0.01, 20)
    work = subtract([(0, 2 * S)], waits)
    assert stage_measures(busy, waits) == {"samples": 20}
    assert stage_measures(busy, work)["comp_load_pct_s"] == pytest.approx(90 * 1.8)


def test_loading_does_not_take_the_load_of_what_is_computed_in_between() -> None:
    """As Step_2_Loading of T2V_A14B_480p_group: 90 % of its step, and a quarter of the step's load."""
    mixed = samples([{"sm_activity_pct": 8.0, "energy_j": i * 19.0} for i in range(80)], 0.1)
    loading = every(0.4, 0.365, 15)
    assert "sm_activity_pct" in stage_measures(mixed, loading)
    assert stage_measures(mixed, loading, is_loading=True).keys() == {"samples"}
    # As with model offload, in one piece.
    assert "sm_activity_pct" in stage_measures(mixed, [(0, 5 * S)], is_loading=True)


def test_memory_is_the_highest_and_the_mean_of_the_samples_inside() -> None:
    memory = samples([{"sys_mem_bytes": float(i)} for i in range(5)])
    measures = stage_measures(memory, [(S, 4 * S)])
    assert (measures["sys_mem_bytes"], measures["sys_mem_mean_bytes"]) == (3.0, 2.0)


def test_a_metric_that_was_not_read_is_absent_and_not_zero() -> None:
    assert "cpu_pct" not in stage_measures(samples([{}] * 5), [(0, 4 * S)])
    assert stage_measures(Samples([], [], 1.0, None), [(0, 4 * S)]) == {"samples": 0}
    assert stage_measures(samples([{"cpu_pct": 0.0}] * 5), [(0, 4 * S)])["cpu_pct"] == 0.0


def test_coverage_leaves_out_gaps_and_the_time_before_the_first_sample() -> None:
    assert coverage(samples([{}] * 5), (0, 4 * S)) == (100.0, 1.0)
    late = Samples([2 * S, 3 * S, 4 * S, 8 * S], [{}] * 4, 1.0, 0)
    covered_pct, gap_s = coverage(late, (0, 8 * S))
    assert (covered_pct, gap_s) == (25.0, 4.0)
    assert coverage(Samples([], [], 1.0, None), (0, 8 * S)) == (0.0, 8.0)


def test_activity_that_nvml_refused_from_the_start_is_no_gap_and_one_that_ended_is() -> None:
    ticks = [{"time_ns": i * S, "values": {"power_w": 1.0}} for i in range(5)]
    head = {"gpu_telemetry": {"gpus": ["GPU-0"]}}

    def covered(*end: dict) -> float:
        return coverage(read_samples([head, *ticks, *end], 1.0), (0, 4 * S))[0]

    refused = {"samples": 5, "missed": 0, "gpu_refused": {"sm_activity_pct": "Not Supported"}}
    assert covered(refused) == 100.0
    assert covered() == 0.0
    ticks[0]["values"]["sm_activity_pct"] = 50.0
    assert covered(refused) == 0.0
    seen = read_samples([head, refused], 1.0)
    assert (seen.missed, seen.gpu_telemetry["refused"]) == (0, refused["gpu_refused"])


def stage(name: str, start_s: float, end_s: float, generation: int | None = None, **args: object) -> Stage:
    interval = (round(start_s * S), round(end_s * S))
    return Stage(name, generation, interval, [interval], args, False)


def test_quality_names_unaccounted_time_and_sampling_gaps() -> None:
    stages = [stage(stage_names.TOTAL_EXECUTION, 0, 10), stage(stage_names.MODEL_INITIALIZATION, 0, 9)]
    quality = quality_of(stages, {}, samples([{}] * 4), True, LIMITS)
    assert quality["stage_coverage_pct"] == pytest.approx(90)
    assert quality["unaccounted_s"] == pytest.approx(1)
    assert quality["failed_checks"] == ["sampling_gaps", "unaccounted_time"]
    stages[1] = stage(stage_names.MODEL_INITIALIZATION, 0, 9.95)
    assert quality_of(stages, {}, samples([{}] * 12), True, LIMITS)["failed_checks"] == []


def test_of_a_process_that_died_in_startup_only_what_is_not_finite_is_known() -> None:
    stages = [stage(stage_names.PROCESS_STARTUP, 0, 1)]
    for finite, failed in ((None, []), (False, ["output_not_finite"])):
        quality = quality_of(stages, {}, samples([{}]), finite, LIMITS)
        assert quality["stage_coverage_pct"] is quality["sample_coverage_pct"] is None
        assert quality["failed_checks"] == failed


def test_below_a_second_there_is_neither_energy_nor_power() -> None:
    """The counter moves every 0.1 s: a step of 0.12 s was said to take 131 J, and its neighbours 78."""
    busy = samples([{"sm_activity_pct": 90.0, "energy_j": i * 70.0, "power_w": 700.0} for i in range(40)], 0.1)
    short, long = stage_measures(busy, [(S, 2 * S - 1)]), stage_measures(busy, [(S, 2 * S)])
    assert short["sm_activity_pct"] == long["sm_activity_pct"] == 90.0
    assert not {"energy_j", "power_w"} & short.keys()
    assert (long["energy_j"], long["power_w"]) == (pytest.approx(700.0), 700.0)
    # Half of the time must lie in pieces of that length.
    assert "energy_j" not in stage_measures(busy, [(0, S), (2 * S + 1, 3 * S), (4 * S + 2, 5 * S)])


def test_pieces_of_seconds_have_an_energy_though_they_lie_near_each_other() -> None:
    busy = samples([{"sm_activity_pct": 5.0, "energy_j": i * 10.0, "power_w": 100.0} for i in range(140)], 0.1)
    pieces = [(S, 6 * S), (round(6.3 * S), round(11.3 * S))]
    assert stage_measures(busy, pieces, is_loading=True)["energy_j"] == pytest.approx(1000)
    halves = [(round(i * 0.8 * S), round((i * 0.8 + 0.5) * S)) for i in range(12)]
    assert "sm_activity_pct" in stage_measures(busy, halves)
    assert "energy_j" not in stage_measures(busy, halves)
