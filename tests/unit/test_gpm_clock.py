"""GPM's counter refreshes and driver refreshes, simulated as they were seen: on clocks that run apart."""

import gzip
import json
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product

import pytest

from conftest import ROOT
from traces import GPU, records, trace_of
from wanbench.telemetry.gpm import driver_refresh_ns
from wanbench.telemetry.gpm_clock import driver_refreshes
from wanbench.telemetry.sampler import SAMPLING_INTERVAL_S
from wanbench.telemetry.samples import Samples, placed_by_load, read_samples, stage_measures
from wanbench.util.intervals import Interval, overlap

MS, S = 1_000_000, 1_000_000_000
PERIOD = 100 * MS
YOUNGEST_MS = 18
GPM = {"gpu_telemetry": {"sm_activity_source": "gpm_sm_utilisation"}}


@dataclass(frozen=True)
class Simulated:
    """A recording; `refreshed_ns` is, for each reading with GPM's values, when its counters were refreshed."""

    records: list[dict]
    refreshed_ns: dict[int, float]

    @property
    def samples(self) -> Samples:
        return read_samples(self.records, SAMPLING_INTERVAL_S)


def simulated(
    case_s: float,
    drift_ms_per_s: float,
    skipped: float = 0.0,
    busy: list[Interval] | None = None,
    stream: int | str = "",
) -> Simulated:
    """What a sampler sees of a GPU at 97 % in `busy`, for so long.

    Args:
        drift_ms_per_s: of driver refreshes on the host's clock.
        skipped: share of driver refreshes that do not come.
        stream: another one has other chances.
    """
    chance = random.Random(f"{case_s} {drift_ms_per_s} {skipped} {stream}".strip())
    period_ns, end_ns = (100 + drift_ms_per_s / 10) * MS, case_s * S
    count = int(end_ns / period_ns) + 5
    phase_ns = chance.uniform(0, 100) * MS - 2 * period_ns
    counter_phase_ns = chance.uniform(0, 100) * MS
    kept = [n for n in range(count) if chance.random() >= skipped]
    driver = [phase_ns + n * period_ns + chance.gauss(0, 0.2) * MS for n in kept]

    def refreshed(number: int) -> float:
        """The counter refresh that was handed out then: the last that was old enough."""
        since_ns = driver[number] - YOUNGEST_MS * MS - counter_phase_ns
        return counter_phase_ns + since_ns // PERIOD * PERIOD

    records: list[dict] = [GPM]
    refreshed_ns: dict[int, float] = {}
    last: tuple[float, Interval] | None = None
    now_ns = 0

    def sampled(due_ns: int) -> tuple[float, Interval]:
        """The counter refresh that a sample has which is due then, and when the call began and ended."""
        begin_ns = max(due_ns, now_ns) + round(abs(chance.gauss(0, 0.3)) * MS)
        # A call in a hundred comes milliseconds late, and one in five hundred blocks.
        begin_ns += round(chance.expovariate(0.05) * MS) if chance.random() < 0.01 else 0
        call_ns = round(chance.uniform(0.3, 0.9) * MS)
        call_ns += round(chance.uniform(5, 80) * MS) if chance.random() < 0.002 else 0
        number = bisect_right(driver, begin_ns + chance.random() * call_ns) - 1
        return refreshed(number), (begin_ns, begin_ns + call_ns)

    while now_ns < end_ns:
        due_ns = -(-now_ns // (105 * MS)) * 105 * MS
        values: dict[str, float] = {}
        if last is not None:
            made_ns, taken = sampled(due_ns - 10 * MS)
            now_ns = taken[1] + MS
            found_ns = driver_refresh_ns(last[1], taken) if made_ns == last[0] else None
            values |= {} if found_ns is None else {"gpm_driver_refresh_ns": found_ns}
        made_ns, taken = sampled(due_ns)
        if last is None or made_ns != last[0]:
            if last is not None:
                share = overlap((round(last[0]), round(made_ns)), busy or []) / (made_ns - last[0])
                values["sm_activity_pct"] = 97 * share + chance.gauss(0, 0.5)
            last = made_ns, taken
            refreshed_ns[taken[0]] = made_ns
        records.append({"time_ns": taken[0], "values": values})
        now_ns = taken[1] + 2 * MS
    return Simulated(records, refreshed_ns)


def off_by_ms(samples: Samples, seen: Simulated, share: float) -> float:
    """By how much the counter refreshes of so large a share of the readings are wrong at most."""
    found = {taken_ns: samples.counter_refresh_ns(taken_ns) for taken_ns in seen.refreshed_ns}
    off_ns = sorted(abs(found[taken_ns] - made_ns) for taken_ns, made_ns in seen.refreshed_ns.items())
    return off_ns[int(share * len(off_ns)) - 1] / MS


@pytest.mark.parametrize(
    ("case_s", "drifts", "skipped", "streams"),
    [
        *((case_s, (-2, -1.2, 0.1, 0.5, 0.98, 2), 0.0, 8) for case_s in (12, 60, 250)),
        (7200, (-2, 2), 0.0, 1),
        (250, (0.98,), 0.002, 8),
        (250, (0.98,), 0.01, 8),
    ],
)
def test_values_are_put_to_their_counter_refreshes_in_nearly_all_streams_however_long_the_case(
    case_s: float, drifts: tuple[float, ...], skipped: float, streams: int
) -> None:
    """In some, no phase fits alone, and the trace says so. In hardly any, one fits that is a period off, unseen."""
    outcomes: Counter[str] = Counter()
    pulse = (int((case_s - 1) * S), int((case_s - 0.7) * S))
    around = pulse[0] - 150 * MS, pulse[1] + 150 * MS
    for drift, stream in product(drifts, range(streams)):
        seen = simulated(case_s, drift, skipped, busy=[pulse], stream=stream)
        samples = placed_by_load(seen.samples, [pulse])
        # The rest was taken at a driver refresh, or by a call that blocked, or its counters were just old enough: it is
        # put to the counter refresh before or after.
        right = off_by_ms(samples, seen, 0.9) < (5 if skipped else 4)
        found = samples.counter_refreshes is not None
        outcomes["right" if right and found else "a period off" if found else "not found"] += 1
        if right and found:
            assert stage_measures(samples, [around])["comp_load_pct_s"] == pytest.approx(0.3 * 97, rel=0.02)
    assert outcomes["right"] > 0.85 * outcomes.total()
    assert outcomes["a period off"] <= 0.05 * outcomes.total()


def test_where_refreshes_are_not_known_values_are_put_to_the_middle_of_what_they_can_be() -> None:
    seen = simulated(250, 0.98)
    assert seen.samples.driver_refreshes is not None
    assert off_by_ms(seen.samples, seen, 0.97) < 55
    unknown = replace(seen.samples, driver_refreshes=None)
    assert off_by_ms(unknown, seen, 0.97) < 105


def test_where_there_is_no_grid_none_is_made_up() -> None:
    assert driver_refreshes([]) is None
    assert driver_refreshes([0, S]) is None
    assert simulated(60, 0.98, skipped=0.2).samples.driver_refreshes is None
    # Found wherever a sample was, as if NVML's answer depended on the time between samples alone.
    assert driver_refreshes([n * 190 * MS for n in range(200)]) is None
    # Nobody knows how many there were in a minute.
    halves = [n * 2 * S for n in range(10)]
    assert driver_refreshes(halves) is not None
    assert driver_refreshes([*halves, *(80 * S + each for each in halves)]) is None
    unknown = simulated(60, 0.98, skipped=0.2, busy=[(50 * S, 51 * S)]).samples
    assert placed_by_load(unknown, [(50 * S, 51 * S)]) is unknown


def test_an_instant_that_is_wrong_moves_no_other() -> None:
    instants = [n * 19 * 100_098_000 for n in range(60)]
    grid = driver_refreshes(instants)
    with_wrong = driver_refreshes([*instants[:20], instants[20] + 43 * MS, *instants[21:]])
    assert grid is not None
    assert with_wrong is not None
    for time_ns in range(5 * MS, 114 * S, 7 * MS):
        assert with_wrong.last_ns(time_ns) == pytest.approx(grid.last_ns(time_ns), abs=MS)
        # Never later than the sample, and the last before it.
        assert 0 <= time_ns - grid.last_ns(time_ns) < 100.1 * MS


PULSE = (20 * S, 20 * S + 300 * MS)


def test_counter_refreshes_that_do_not_fit_well_or_not_alone_are_not_known() -> None:
    seen = simulated(30, 0.98, busy=[PULSE]).samples
    assert placed_by_load(seen, [PULSE]).counter_refreshes is not None
    in_the_pulse = [PULSE[0] - 300 * MS < time_ns < PULSE[1] + 300 * MS for time_ns in seen.times_ns]
    for spoilt in (
        # Beside it, another process computed.
        [
            v | {"sm_activity_pct": 40.0} if near and i % 3 else v
            for i, (v, near) in enumerate(zip(seen.values, in_the_pulse))
        ],
        # The sampler did not get its turn.
        [{} if near else values for values, near in zip(seen.values, in_the_pulse)],
        [{} if near and i % 4 else v for i, (v, near) in enumerate(zip(seen.values, in_the_pulse))],
    ):
        changed = replace(seen, values=spoilt)
        assert placed_by_load(changed, [PULSE]) is changed
    # It was at another time than is said.
    for off_ms in (-200, 200):
        assert placed_by_load(seen, [(PULSE[0] + off_ms * MS, PULSE[1] + off_ms * MS)]) is seen
    # While it ran, another of two counter refreshes began to be the one that is handed out.
    pulse = (249 * S, 249 * S + 300 * MS)
    changing = simulated(250, -1, busy=[pulse]).samples
    assert placed_by_load(changing, [pulse]) is changing
    assert placed_by_load(seen, []) is seen
    utilisation = replace(seen, gpu_telemetry={"sm_activity_source": "nvml_gpu_utilisation"})
    assert placed_by_load(utilisation, [PULSE]) is utilisation


def test_every_load_of_a_recording_finds_the_same_counter_refreshes() -> None:
    """18 loads of 0.3 s on an H100, and six of some seconds, seen by three samplers one after the other in 48 s.

    While they ran, the age of counters at driver refreshes rose from 70 to 92 ms.
    """
    with gzip.open(ROOT / "tests/data/h100/gpm_refreshes.json.gz", "rt", encoding="utf-8") as file:
        rounds = json.load(file)
    found_ns: list[int] = []
    for seen in rounds:
        samples = read_samples([GPM, *seen["samples"]], SAMPLING_INTERVAL_S)
        for load in ((start_ns, end_ns) for start_ns, end_ns in seen["busy_ns"] if end_ns - start_ns < S):
            placed = placed_by_load(samples, [load])
            assert placed.counter_refreshes is not None
            found_ns.append(placed.counter_refreshes.one_ns)
            # The whole case by one load: every other one is where it was; of the last, the end was not seen.
            for start_ns, end_ns in seen["busy_ns"][:-1]:
                around = [(start_ns - 200 * MS, end_ns + 200 * MS)]
                load_pct_s = stage_measures(placed, around)["comp_load_pct_s"]
                assert load_pct_s == pytest.approx(97 * (end_ns - start_ns) / S, abs=2.5)
    assert len(found_ns) == 18
    # The GPU's clock and the host's: 100.004 ms here are 100 ms there.
    off_ms = [(time_ns - found_ns[0]) / MS % 100.004 for time_ns in found_ns]
    assert max(min(off, 100.004 - off) for off in off_ms) < 5


@pytest.mark.parametrize(("skipped", "found"), [(0.0, True), (0.2, False)])
def test_a_trace_says_what_was_not_found(skipped: float, found: bool) -> None:
    """Of a recording without the load that shows counter refreshes; without driver refreshes nothing could."""
    seen = simulated(30, 0.98, skipped).samples
    trace = trace_of(records([5.0] * 3, environment=GPU), samples=seen)
    telemetry = trace["environment"]["gpu_telemetry"]
    assert (telemetry["gpm_counter_refresh_found"], telemetry["gpm_driver_refresh_found"]) == (False, found)
