"""GPM's latches, simulated as they were seen: on a clock that runs apart from the host's, and sampled with hitches."""

import random
from bisect import bisect_right
from dataclasses import dataclass, replace

import pytest

from wanbench.measure.intervals import Interval, overlap
from wanbench.measure.latch_delay import placed_by_load
from wanbench.measure.latch_grid import latch_grid
from wanbench.measure.samples import Samples, read_samples, stage_measures
from wanbench.measure.telemetry.gpm import readable_ns
from wanbench.measure.telemetry.sampler import SAMPLING_INTERVAL_S

MS, S = 1_000_000, 1_000_000_000
DELAY_MS = 52
GPM = {"gpu_telemetry": {"sm_activity_source": "gpm_sm_utilisation"}}


@dataclass(frozen=True)
class Simulated:
    """A recording; `latched_ns` is, for each reading with GPM's values, when its latch was made."""

    records: list[dict]
    latched_ns: dict[int, float]

    @property
    def samples(self) -> Samples:
        return read_samples(self.records, SAMPLING_INTERVAL_S)


def simulated(
    case_s: float, drift_ms_per_s: float, skipped: float = 0.0, busy: list[Interval] | None = None, late: float = 0.01
) -> Simulated:
    """What a sampler sees of a GPU at 97 % in `busy`, for so long.

    Args:
        drift_ms_per_s: of the latches on the host's clock.
        skipped, late: shares of latches that do not come, and of calls that come or last milliseconds longer.
    """
    chance = random.Random(f"{case_s} {drift_ms_per_s} {skipped}")
    period_ns, end_ns = (100 + drift_ms_per_s / 10) * MS, case_s * S
    count = int(end_ns / period_ns) + 5
    phase_ns = chance.uniform(0, 100) * MS - 2 * period_ns
    kept = [n for n in range(count) if chance.random() >= skipped]
    readable = [phase_ns + n * period_ns + chance.gauss(0, 0.2) * MS for n in kept]
    records: list[dict] = [GPM]
    latched_ns: dict[int, float] = {}
    last: tuple[int, Interval] | None = None
    now_ns = 0

    def sampled(due_ns: int) -> tuple[int, Interval]:
        """Number of the latch that a sample has which is due then, and when the call began and ended."""
        begin_ns = max(due_ns, now_ns) + round(abs(chance.gauss(0, 0.3)) * MS)
        begin_ns += round(chance.expovariate(0.05) * MS) if chance.random() < late else 0
        call_ns = round(chance.uniform(0.3, 0.9) * MS)
        call_ns += round(chance.uniform(5, 80) * MS) if chance.random() < late / 5 else 0
        latch = bisect_right(readable, begin_ns + chance.random() * call_ns) - 1
        return latch, (begin_ns, begin_ns + call_ns)

    while now_ns < end_ns:
        due_ns = -(-now_ns // (105 * MS)) * 105 * MS
        values: dict[str, float] = {}
        if last is not None:
            latch, taken = sampled(due_ns - 10 * MS)
            now_ns = taken[1] + MS
            found_ns = readable_ns(last[1], taken) if latch == last[0] else None
            values |= {} if found_ns is None else {"gpm_readable_ns": found_ns}
        latch, taken = sampled(due_ns)
        if last is None or latch != last[0]:
            made_ns = readable[latch] - DELAY_MS * MS
            if last is not None:
                before_ns = readable[last[0]] - DELAY_MS * MS
                share = overlap((round(before_ns), round(made_ns)), busy or []) / (made_ns - before_ns)
                values["sm_activity_pct"] = 97 * share + chance.gauss(0, 0.5)
            last = latch, taken
            latched_ns[taken[0]] = made_ns
        records.append({"time_ns": taken[0], "values": values})
        now_ns = taken[1] + 2 * MS
    return Simulated(records, latched_ns)


CASES = [(case_s, drift) for case_s in (12, 30, 60, 250) for drift in (-2, -1, 0, 0.5, 0.98, 2)]


@pytest.mark.parametrize(("case_s", "drift_ms_per_s"), [*CASES, (7200, -2), (7200, 0.98), (7200, 2)])
def test_values_are_put_to_their_latches_however_long_the_case(case_s: float, drift_ms_per_s: float) -> None:
    pulse = (int((case_s - 1) * S), int((case_s - 0.7) * S))
    seen = simulated(case_s, drift_ms_per_s, busy=[pulse])
    samples = placed_by_load(seen.samples, [pulse])
    assert samples.latch_delay_ns == pytest.approx(DELAY_MS * MS, abs=4 * MS)
    off_ns = sorted(abs(samples.latch_ns(taken_ns) - made_ns) for taken_ns, made_ns in seen.latched_ns.items())
    assert off_ns[len(off_ns) // 2] < 4 * MS
    # The rest was taken as a latch came, or by a call that blocked, and is put to the latch before or after.
    assert off_ns[int(0.97 * len(off_ns)) - 1] < 6 * MS
    around = pulse[0] - 150 * MS, pulse[1] + 150 * MS
    assert stage_measures(samples, [around])["comp_load_pct_s"] == pytest.approx(0.3 * 97, rel=0.02)


@pytest.mark.parametrize("skipped", [0.002, 0.01])
def test_single_latches_that_do_not_come_are_passed_over(skipped: float) -> None:
    seen = simulated(250, 0.98, skipped)
    samples = replace(seen.samples, latch_delay_ns=DELAY_MS * MS)
    off_ns = sorted(abs(samples.latch_ns(taken_ns) - made_ns) for taken_ns, made_ns in seen.latched_ns.items())
    assert off_ns[int(0.95 * len(off_ns))] < 5 * MS


def test_where_there_is_no_grid_none_is_made_up() -> None:
    assert latch_grid([]) is None
    assert latch_grid([0, S]) is None
    assert simulated(60, 0.98, skipped=0.2).samples.latches is None
    # Found wherever a sample was, as if NVML's answer depended on the time between samples alone.
    assert latch_grid([n * 190 * MS for n in range(200)]) is None
    # Nobody knows how many latches came in a minute.
    halves = [n * 2 * S for n in range(10)]
    assert latch_grid(halves) is not None
    assert latch_grid([*halves, *(80 * S + each for each in halves)]) is None
    unknown = simulated(60, 0.98, skipped=0.2, busy=[(50 * S, 51 * S)]).samples
    assert placed_by_load(unknown, [(50 * S, 51 * S)]) is unknown


def test_an_instant_that_is_wrong_moves_no_other() -> None:
    instants = [n * 19 * 100_098_000 for n in range(60)]
    grid = latch_grid(instants)
    with_wrong = latch_grid([*instants[:20], instants[20] + 43 * MS, *instants[21:]])
    assert grid is not None
    assert with_wrong is not None
    for time_ns in range(5 * MS, 114 * S, 7 * MS):
        assert with_wrong.last_readable_ns(time_ns) == pytest.approx(grid.last_readable_ns(time_ns), abs=MS)
        # Never later than the sample, and the last before it.
        assert 0 <= time_ns - grid.last_readable_ns(time_ns) < 100.1 * MS


PULSE = (20 * S, 20 * S + 300 * MS)


def test_a_delay_that_does_not_fit_well_or_not_alone_is_not_known() -> None:
    seen = simulated(30, 0.98, busy=[PULSE]).samples
    assert placed_by_load(seen, [PULSE]).latch_delay_ns == pytest.approx(DELAY_MS * MS, abs=4 * MS)
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
    # Its edge is where the search ends.
    for off_ms in (DELAY_MS, DELAY_MS - 150):
        moved = PULSE[0] + off_ms * MS, PULSE[1] + off_ms * MS
        assert placed_by_load(seen, [moved]) is seen
    assert placed_by_load(seen, []) is seen
    utilisation = replace(seen, gpu_telemetry={"sm_activity_source": "nvml_gpu_utilisation"})
    assert placed_by_load(utilisation, [PULSE]) is utilisation
