"""Figures from real recordings of an H200: TI2V-5B, 1280*704 x 121 frames, random weights, offload none.

`record` is a case of 3 steps alone on the GPU, `other_process` one of 2 steps beside a second process that multiplied
matrices (made before operations and GPM's refreshes were recorded). Both are what the measured process and the sampler
appended, replayed through the code that reads it.
"""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attempts import attempt_in
from example_cases import tiny_case
from reports import figures_of, report, rules
from wanbench.measure.assemble import assemble
from wanbench.measure.outcome import Outcome
from wanbench.measure.spans import Recording, Stage, read_records, stages_of
from wanbench.registry import stages as stage_names
from wanbench.telemetry.gpm import METRICS, has_same_counters
from wanbench.telemetry.gpm_clock import driver_refreshes
from wanbench.telemetry.samples import Samples, energy_of, placed_by_load, read_samples, stage_measures, weighted_mean
from wanbench.trace.reader import Trace, read_trace
from wanbench.trace.writer import write_trace
from wanbench.util.intervals import overlap, union

DATA = Path(__file__).parents[1] / "data/h200"
INTERVAL_S = 0.105


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def samples_of(records: list[dict[str, Any]]) -> Samples:
    """As they are now recorded: these were made when two samples with nothing between them were zeros."""
    sifted = []
    for record in records:
        values = record.get("values", {})
        if has_same_counters({key: values[key] for key in METRICS if key in values}):
            record = record | {"values": {key: value for key, value in values.items() if key not in METRICS}}
        sifted.append(record)
    return read_samples(sifted, INTERVAL_S)


def recording(name: str) -> tuple[Recording, Samples]:
    return read_records(lines(f"{name}.events")), samples_of(lines(f"{name}.samples"))


def stages(record: Recording, samples: Samples) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(record, samples.times_ns[-1])}


CASE = replace(tiny_case(), scale="full", size="1280*704", unofficial_size=False, frames=121)


def trace_of(tmp_path: Path, record: Recording, samples: Samples) -> Trace:
    case = replace(CASE, steps=sum(span.kind == "step" for span in record.spans.values()))
    began = {"spawned_ns": record.spans[0].start_ns, "started_at": "2026-11-23T15:20:00+00:00"}
    attempt = replace(attempt_in(tmp_path, case), **began)
    git = {"git_commit": None, "git_dirty": None}
    file = tmp_path / "tiny.json"
    write_trace(file, assemble(attempt, samples.times_ns[-1], record, samples, Outcome("ok")) | git)
    return read_trace(file)


def altered(samples: Samples, change: Callable[[int, dict[str, float]], dict[str, float]]) -> Samples:
    """The samples with each reading changed, given its time."""
    return replace(samples, values=[change(*each) for each in zip(samples.times_ns, samples.values)])


def without(samples: Samples, *metrics: str) -> Samples:
    return altered(samples, lambda _, reading: {key: reading[key] for key in reading if key not in metrics})


@pytest.fixture(scope="module")
def record() -> Recording:
    return recording("record")[0]


@pytest.fixture(scope="module")
def samples() -> Samples:
    return recording("record")[1]


# --- true on a real GPU -----------------------------------------------------------------------------------------


def test_load_and_energy_of_the_whole_are_those_of_its_stages(record: Recording, samples: Samples) -> None:
    found = stages(record, samples)
    total = found[stage_names.TOTAL_EXECUTION]
    whole = stage_measures(samples, total.intervals)
    leaves = [stage.intervals for stage in found.values() if stage.name not in stage_names.NOT_LEAVES]
    means = [weighted_mean(samples.series["sm_activity_pct"], intervals) for intervals in leaves]
    load_pct_s = sum((mean_pct or 0) * weight_ns / 1e9 for mean_pct, weight_ns in means)
    assert load_pct_s == pytest.approx(whole["comp_load_pct_s"], rel=1e-3)
    energies_j = [energy_of(samples.energy, intervals) or 0 for intervals in leaves]
    assert sum(energies_j) == pytest.approx(whole["energy_j"], rel=1e-3)
    power = samples.series["power_w"]
    integrated_j = sum(
        watts * (time_ns - before_ns) / 1e9
        for before_ns, time_ns, watts in zip(power.times_ns, power.times_ns[1:], power.values[1:])
        if total.extent[0] <= time_ns < total.extent[1]
    )
    assert whole["energy_j"] == pytest.approx(integrated_j, rel=0.05)


def test_stages_show_what_the_gpu_did(record: Recording, samples: Samples, tmp_path: Path) -> None:
    trace = trace_of(tmp_path, record, samples)
    measures = {stage.name: stage.measures for stage in trace.stages}
    step, export = measures["Step_2_Inference"], measures[stage_names.VIDEO_EXPORT]
    # A full step keeps the GPU busy up to its power limit; export runs on the CPU.
    assert step["sm_activity_pct"] > 90 > 20 > export["sm_activity_pct"]
    assert step["tensor_activity_pct"] > 40
    assert 600 < step["power_w"] < 720
    assert step["sm_clock_mhz"] < 1980
    assert measures[stage_names.PROCESS_STARTUP]["sm_activity_pct"] < 1
    assert step["gpu_mem_allocated_bytes"] < step["gpu_mem_reserved_bytes"] < step["gpu_mem_used_bytes"]
    # Preprocessing takes 40 ms, less than a sampling interval.
    assert "sm_activity_pct" not in measures[stage_names.PREPROCESS]


def test_the_report_of_the_recording(record: Recording, samples: Samples, tmp_path: Path) -> None:
    trace = trace_of(tmp_path, record, samples)
    assert trace.quality["failed_checks"] == []
    assert trace.quality["sample_coverage_pct"] > 99
    assert trace.quality["greatest_sample_gap_s"] < 0.25
    assert trace.quality["throttled_pct"]["power_cap"] > 50 > trace.quality["throttled_pct"]["thermal_hardware"] == 0
    text = report(trace)
    figures = figures_of(trace)
    assert figures.energy_j == pytest.approx(12_263, rel=0.001)
    assert figures.power_mean_w == pytest.approx(figures.energy_j / figures.total_execution_s)
    assert 1_500 < figures.step_energy_j < 1_800
    assert figures.video_second_energy_j == pytest.approx(figures.energy_j / (121 / 24), rel=0.02)
    # All that is in no generation is initialisation, of 59 J, and preprocessing, too short for a figure.
    assert figures.generation_energy_j == pytest.approx(figures.energy_j - 59, rel=0.002)
    # Three steps of 1.04 PFLOP each, and a GPU whose datasheet says 989.4 TFLOP/s.
    assert "- **Matrix products**: 789 TFLOP/s" in text
    assert re.search(r"^\| Step_1_Inference \|.* 44\.8 \|", text, re.M)
    assert set(rules(trace)) & {"other_process", "slowed_down", "sampling_gaps", "low_sm_activity"} == set()


def test_another_process_on_the_gpu_is_found(tmp_path: Path) -> None:
    record, samples = recording("other_process")
    trace = trace_of(tmp_path, record, samples)
    assert trace.quality["failed_checks"] == ["other_process"]
    assert trace.quality["other_processes_mem_bytes"] == 916_455_424
    assert "other_process" in rules(trace)
    assert "Other processes on the GPU: 1, with up to 0.92 GB" in report(trace)


# --- failures, made from the recording ---------------------------------------------------------------------------


def test_gpm_that_stops_leaves_its_columns_empty(record: Recording, samples: Samples, tmp_path: Path) -> None:
    step = stages(record, samples)["Step_1_Inference"]
    gpm = {key for key in samples.series if key.endswith("_pct") and "cpu" not in key}
    stopped = altered(
        samples, lambda at_ns, reading: {k: v for k, v in reading.items() if at_ns < step.extent[0] or k not in gpm}
    )
    trace = trace_of(tmp_path, record, stopped)
    measures = {stage.name: stage.measures for stage in trace.stages}
    assert "sm_activity_pct" in measures["Step_0_Inference"]
    assert "sm_activity_pct" not in measures["Step_1_Inference"]
    assert "comp_load_pct_s" not in measures[stage_names.TOTAL_EXECUTION]
    assert "power_w" in measures["Step_1_Inference"]
    assert "sampling_gaps" in trace.quality["failed_checks"]
    assert "low_sm_activity" not in rules(trace)


def test_a_gpu_without_gpm_is_named_as_such(record: Recording, samples: Samples, tmp_path: Path) -> None:
    gpm = [key for key in samples.series if "activity" in key or "occupancy" in key or "pcie" in key]
    old = altered(without(samples, *gpm), lambda _, reading: reading | {"sm_activity_pct": 100.0})
    telemetry = samples.gpu_telemetry | {"sm_activity_source": "nvml_gpu_utilisation"}
    text = report(trace_of(tmp_path, record, replace(old, gpu_telemetry=telemetry)))
    assert "This GPU has no GPM: SM columns hold NVML's GPU utilisation" in text


def test_a_gpu_without_an_energy_counter_has_no_energy(record: Recording, samples: Samples, tmp_path: Path) -> None:
    trace = trace_of(tmp_path, record, without(samples, "energy_j"))
    figures = figures_of(trace)
    assert figures.energy_j is figures.power_mean_w is figures.step_energy_j is figures.video_second_energy_j is None
    assert trace.quality["failed_checks"] == []


def test_without_nvml_the_report_says_why(record: Recording, samples: Samples, tmp_path: Path) -> None:
    blind = without(samples, *(key for key in samples.series if not key.startswith(("cpu_", "process_", "sys_"))))
    trace = trace_of(tmp_path, record, replace(blind, gpu_telemetry={"error": "Driver Not Loaded"}))
    text = report(trace)
    assert "- **GPU telemetry**: Driver Not Loaded" in text
    assert trace.quality["other_processes"] is trace.quality["throttled_pct"] is None
    assert "Other processes on the GPU: n/a. Clocks held down by: n/a" in text
    assert trace.quality["failed_checks"] == []
    assert figures_of(trace).gpu_mem_allocated_bytes == 49_083_006_464


def test_a_known_load_is_put_where_it_was() -> None:
    """Real kernels, busy 0, 25, 50, 75 and 100 % of 2 s each, on an H200.

    Driver refreshes were found once, before the load; they were every 100.05 ms.
    """
    with gzip.open(DATA / "known_load.json.gz", "rt", encoding="utf-8") as file:
        known = json.load(file)
    busy = union((start, end) for start, end in known["busy_ns"])
    first_ns = known["samples"][0]["gpm_readable_ns"]
    refreshes = driver_refreshes([first_ns + n * 100_050_000 for n in range(0, 300, 20)])
    samples = placed_by_load(replace(read_samples(known["samples"], INTERVAL_S), driver_refreshes=refreshes), busy)
    assert samples.counter_refreshes is not None
    for part in known["slices"]:
        # At its ends a slice has a part of the load of the one beside it.
        middle = part["start_ns"] + 250_000_000, part["end_ns"] - 250_000_000
        really_pct = 100 * overlap(middle, busy) / (middle[1] - middle[0])
        assert stage_measures(samples, [middle])["sm_activity_pct"] == pytest.approx(really_pct, abs=1)
