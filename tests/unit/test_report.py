"""The report: the reference's form, and none of its faults."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from example_cases import tiny_case
from reports import figures_of, full_case, made, read_back, report, rules, tables
from traces import GPU, host_samples, records
from wanbench.analysis.settings_table import Prices
from wanbench.analysis.tables import stages_table
from wanbench.telemetry.samples import Samples
from wanbench.trace.reader import Trace

Reader = Callable[..., Trace]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return partial(read_back, tmp_path)


def stage_rows(text: str) -> dict[str, dict[str, str]]:
    """The rows of the only stage table."""
    (rows,) = tables(text, "Stage")
    return {row["Stage"]: row for row in rows}


def test_the_rows_add_up_to_the_total(read: Reader) -> None:
    """With repeats a row is a median."""
    repeated = records([1.0, 2.0], generations=4, warmup=1, unnamed_s=0.05)
    rows = stage_rows(report(read(repeated, case=tiny_case(warmup=1, repeats=3))))
    times_s = {name: float(row["Time (s)"]) for name, row in rows.items()}
    total_s = times_s.pop("Total_Execution")
    del times_s["Process_Startup"]
    assert sum(times_s.values()) == pytest.approx(total_s, abs=0.01)
    assert times_s["Step_1_Inference"] == 2.0
    assert times_s["Unaccounted"] == pytest.approx(4 * 0.05)
    assert times_s["Further_Generations"] == pytest.approx(3 * 7.75)


# --- faults of the reference report (DESIGN section 8); of the others the kept reports are free --------------------


def test_fault_2_what_was_not_measured_is_not_zero(read: Reader) -> None:
    """As in `03_Max_Quality_704p`: samples end in the middle of the run."""
    half = host_samples(13.0)
    trace = read(records([2.0] * 6), samples=Samples(half.times_ns, half.values, 0.1, None))
    rows = stage_rows(report(trace))
    assert rows["Step_1_Inference"]["CPU (%)"] == "25.0"
    assert {rows["Step_5_Inference"][column] for column in ("CPU (%)", "Sys Mem (GB)", "SM Act (%)")} == {"n/a"}
    assert rows["Step_5_Loading"]["Time (s)"] == "0.00"
    assert "sampling_gaps" in rules(trace)


def test_fault_6_size_and_offload_are_what_ran_and_not_what_the_name_says(read: Reader) -> None:
    case = tiny_case(size="96*64", offload="model")
    trace = read(records([1.0] * 3, case=case), case=case)
    ran = replace(trace, case=trace.case | {"name": "a_480p_case", "size": "832*480", "offload": "none"})
    ((row,),) = tables(report(ran), "Case")
    assert (row["Case"], row["Res"], row["Offload"]) == ("a_480p_case", "96*64 (unofficial)", "model")


def test_fault_7_a_change_of_step_time_is_reported_and_the_case_marked(read: Reader) -> None:
    trace = read(records([15.19] + [15.03] * 38 + [6.88] * 11))
    finding = rules(trace)["step_time_changed"]
    assert list(finding.evidence.values()) == [39.0, 15.03, 6.88]
    (summary,) = tables(report(trace), "Case")
    assert summary[0]["Check"] == "step time changed"
    steady = read(records([15.19] + [6.88] * 49))
    assert "step_time_changed" not in rules(steady)
    assert tables(report(steady), "Case")[0][0]["Check"] == "passed"


def test_fault_8_time_without_a_name_is_printed_and_found(read: Reader) -> None:
    trace = read(records([1.0] * 5, unnamed_s=2.0))
    assert stage_rows(report(trace))["Unaccounted"]["Time (s)"] == "2.00"
    assert rules(trace)["unaccounted_time"].evidence["stage_coverage_pct"] == pytest.approx(100 * 11.75 / 13.75)
    assert "unaccounted_time" not in rules(read(records([1.0] * 5, unnamed_s=0.01)))


def test_a_stage_with_time_but_no_sampled_values_is_not_measured_in_any_place(tmp_path: Path) -> None:
    """As in a stage of many short waits, each within one sample."""
    sampled = {"sm_activity_pct": 90.0, "comp_load_pct_s": 90.0, "energy_j": 600.0, "power_w": 600.0}

    def spread_over_waits(trace: dict[str, Any]) -> None:
        for event in (event for event in trace["traceEvents"] if event["name"] == "Step_0_Loading"):
            event["args"] |= {"time_s": 0.5, "transfers": 9, "loading_s": 0.5, "offloading_s": 0.0, "samples": 1}

    case = full_case(steps=3, offload="group_stream")
    trace = made(tmp_path, case, measures={r"Step_\d_Inference": sampled}, alter=spread_over_waits)
    row = stage_rows(report(trace))["Step_0_Loading"]
    known = {"Stage", "Time (s)", "Loading (s)", "Offloading (s)"}
    assert {column for column, cell in row.items() if cell != "n/a"} == known
    assert stages_table([trace]).query("stage == 'Step_0_Loading'")["comp_load_pct_s"].isna().all()
    # The first step's energy is not known, and typical steps have theirs.
    assert figures_of(trace).step_energy_j == 600.0


def test_no_share_of_the_cpu_is_above_the_whole(tmp_path: Path) -> None:
    """As ticks that are counted in a short stage and began before it make it."""
    more = {"cpu_pct": 102.6, "process_cpu_pct": 100.4}
    trace = made(tmp_path, full_case(steps=3), measures={r"Step_1_Inference": more})
    row = stage_rows(report(trace))["Step_1_Inference"]
    assert row["CPU (%)"] == "100.0"
    assert stages_table([trace])["cpu_pct"].max() == 100.0
    assert figures_of(trace).inference_cpu_pct == pytest.approx((25 + 100 + 25) / 3)


def test_the_report_has_what_no_kept_case_shows(tmp_path: Path) -> None:
    """Costs, what loading a checkpoint took, limits of a container, NUMA nodes, and what NVML refused."""

    def alter(trace: dict[str, Any]) -> None:
        refused = {"energy_j": "Not Supported"}
        trace["environment"]["gpu_telemetry"] = {"driver": "580", "refused": refused, "state": {"numa_node": 1}}

    limits = {"cpu_quota_cores": 1.5, "mem_limit_bytes": 8 * 10**9, "cpu_governor": "performance"}
    measures = {"Model_Initialization": {"checkpoint_bytes": 10**10}}
    environment = GPU | limits | {"cpu_numa_nodes": "0,1"}
    trace = made(tmp_path, full_case(steps=3), measures=measures, environment=environment, alter=alter)
    text = report(trace, prices=Prices("EUR", gpu_hour=3.6)).replace("\\", "")
    told = ["videos/h, 0.10 EUR", "time x GPUs x the price", "The checkpoint's 10.00 GB were loaded in 2.00 s."]
    told += ["1.5 cores of processor time", "8.00 GB of memory", "governor performance", "energy_j: Not Supported"]
    for part in (*told, "- **NUMA**: GPU at node 1, cores of the case at node 0,1\n"):
        assert part in text, part
