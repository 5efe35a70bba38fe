"""Tables and report: the reference's form, and every figure true or absent."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tiny import tiny_case
from traces import GPU, S, host_samples, records, trace_of, write
from wanbench.measure.outcome import Outcome
from wanbench.measure.samples import Samples
from wanbench.report.breakdown import breakdown
from wanbench.report.figures import figures_of
from wanbench.report.findings import findings_of
from wanbench.report.markdown import render
from wanbench.report.numbers import escaped_but_code, fixed, plain
from wanbench.report.outcome import faults_of, outcome_of
from wanbench.report.tables import (
    cases_table,
    details_table,
    left_out_table,
    records_by_case,
    stages_table,
    write_table,
)
from wanbench.trace.reader import Trace, read_trace

SUMMARY = ["Case", "Res", "Offload", "Time(s)", "s/step", "Mem(GB)", "SM(%)", "Load"]
Reader = Callable[..., Trace]
STAGES = ["Stage", "Time (s)", "GPU Mem (GB)", "CPU (%)", "Sys Mem (GB)", "SM Act (%)", "Comp Load"]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def read_(rows: list[dict[str, Any]], **options: Any) -> Trace:
        return read_trace(write(tmp_path, trace_of(rows, **options)))

    return read_


def report(*traces: Trace) -> str:
    return render(cases_table(traces), stages_table(traces), details_table(traces), left_out_table([]))


def rules(trace: Trace) -> dict[str, Any]:
    found = findings_of(cases_table([trace]).iloc[0], breakdown(records_by_case(stages_table([trace]))["tiny"]))
    return {finding.rule: finding for finding in found}


def with_gpu_samples(trace: dict[str, Any], sm_pct: float) -> dict[str, Any]:
    """The trace with SM activity in every stage, as the GPU's telemetry will write it."""
    for event in trace["traceEvents"]:
        if event.get("cat") == "stage":
            event["args"] |= {"sm_activity_pct": sm_pct, "comp_load_pct_s": sm_pct * event["args"]["time_s"]}
    return trace


def tables(markdown: str, first_column: str) -> list[list[dict[str, str]]]:
    """All tables that begin with a column, as rows."""
    found, lines = [], markdown.splitlines()
    for i, line in enumerate(lines):
        if line.startswith(f"| {first_column} "):
            header = [cell.strip() for cell in line.strip("|").split("|")]
            rows = []
            for row in lines[i + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append(dict(zip(header, (cell.strip() for cell in row.strip("|").split("|")))))
            found.append(rows)
    return found


# --- form -------------------------------------------------------------------------------------------------------


def test_headings_columns_and_order_are_those_of_the_reference_report(read: Reader) -> None:
    text = report(read(records([1.0, 1.0, 1.0])))
    headings = re.findall(r"^#+ .*", text, re.M)
    assert headings == [
        "# Wan2.2 Benchmark Report",
        "# Detailed Breakdown",
        "## Case: tiny",
        "### Stage Breakdown",
        "### Inference Statistics",
        "### Performance Analysis",
    ]
    (summary,) = tables(text, "Case")
    (stages,) = tables(text, "Stage")
    assert list(summary[0])[: len(SUMMARY)] == SUMMARY
    assert list(stages[0])[: len(STAGES)] == STAGES
    assert [row["Stage"] for row in stages][:6] == [
        "Process_Startup",
        "Model_Initialization",
        "TI2V_Preprocess",
        "T5_Encoding",
        "Step_0_Loading",
        "Step_0_Inference",
    ]
    assert stages[-1]["Stage"] == "Total_Execution"
    bullets = re.findall(r"^- \*\*(.+?)\*\*:", text.split("## Case: tiny")[1], re.M)
    assert bullets[:3] == ["Total Duration", "Peak GPU Memory", "Total Compute Load"]
    assert bullets[3:7] == ["Avg Time per Step", "Avg SM Activity", "Avg CPU Utilization", "Total Inference Load"]
    assert text.index("**Bottlenecks Detected:**") < text.index("**Resource Usage Overview:**")


def test_leaf_stages_and_the_unaccounted_rest_add_up_to_the_total(read: Reader) -> None:
    (stages,) = tables(report(read(records([1.0] * 4, unnamed_s=0.05))), "Stage")
    times = {row["Stage"]: float(row["Time (s)"]) for row in stages}
    leaves = sum(time for name, time in times.items() if name not in ("Total_Execution", "Process_Startup"))
    assert leaves == pytest.approx(times["Total_Execution"], abs=0.01)
    assert times["Unaccounted"] == 0.05


def test_with_repeats_the_row_is_the_median_and_the_rows_still_add_up(read: Reader) -> None:
    trace = read(records([1.0, 2.0], generations=4, warmup=1), case=tiny_case(warmup=1, repeats=3))
    (stages,) = tables(report(trace), "Stage")
    rows = {row["Stage"]: row for row in stages}
    assert (rows["Step_1_Inference"]["Time (s)"], rows["Step_1_Inference"]["First (s)"]) == ("2.00", "2.00")
    assert float(rows["Further_Generations"]["Time (s)"]) == pytest.approx(3 * 7.75)
    leaves = sum(
        float(row["Time (s)"]) for name, row in rows.items() if name not in ("Total_Execution", "Process_Startup")
    )
    assert leaves == pytest.approx(float(rows["Total_Execution"]["Time (s)"]), abs=0.01)


def test_the_first_generation_stands_apart_and_warm_up_does_not_count(read: Reader) -> None:
    rows = records([1.0, 2.0, 2.0], generations=2, warmup=1)
    cold = next(i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == "Step_1")
    for row in rows[cold + 1 :]:
        if "time_ns" in row:
            row["time_ns"] += 7 * S
    trace = read(rows, case=tiny_case(warmup=1))
    assert figures_of(trace).step_s == 2.0
    (stages,) = tables(report(trace), "Stage")
    row = next(row for row in stages if row["Stage"] == "Step_1_Inference")
    assert (row["Time (s)"], row["First (s)"]) == ("2.00", "9.00")


# --- the nine faults of the reference report (DESIGN section 8) ----------------------------------------------------


def test_fault_1_no_stage_is_unknown_or_zero_for_want_of_a_name(read: Reader) -> None:
    (stages,) = tables(report(read(records([1.0, 1.0, 1.0]))), "Stage")
    assert "Unknown" not in {row["Stage"] for row in stages}
    assert all(float(row["Time (s)"]) > 0 for row in stages if row["Stage"].endswith(("Inference", "Decoding")))


def test_fault_2_what_was_not_measured_is_not_zero(read: Reader) -> None:
    """As in `03_Max_Quality_704p`: samples end in the middle of the run."""
    rows = records([2.0] * 6)
    half = host_samples(13.0)
    trace = read(rows, samples=Samples(half.times_ns, half.values, 0.1, None))
    (stages,) = tables(report(trace), "Stage")
    by_name = {row["Stage"]: row for row in stages}
    assert by_name["Step_1_Inference"]["CPU (%)"] == "25.0"
    assert by_name["Step_5_Inference"]["CPU (%)"] == "n/a"
    assert by_name["Step_5_Inference"]["Sys Mem (GB)"] == "n/a"
    assert by_name["Step_5_Inference"]["SM Act (%)"] == "n/a"
    assert by_name["Step_5_Inference"]["Samples"] == "0"
    assert by_name["Step_5_Loading"]["Time (s)"] == "0.00"
    assert "sampling_gaps" in rules(trace)


def test_fault_3_total_load_is_the_sum_of_leaf_stages_once(read: Reader, tmp_path: Path) -> None:
    trace = with_gpu_samples(trace_of(records([1.0] * 5, environment=GPU)), sm_pct=80.0)
    text = report(read_trace(write(tmp_path, trace)))
    (summary,), (stages,) = tables(text, "Case"), tables(text, "Stage")
    total = next(row for row in stages if row["Stage"] == "Total_Execution")
    assert float(total["Comp Load"]) > 0
    assert summary[0]["Load"] == total["Comp Load"]
    assert f"- **Total Compute Load**: {total['Comp Load']}" in text


def test_fault_4_nothing_is_concluded_from_a_load_that_was_not_recorded(read: Reader, tmp_path: Path) -> None:
    unmeasured = read(records([1.0] * 5, environment=GPU))
    assert "low_sm_activity" not in rules(unmeasured)
    assert "utilization" not in report(unmeasured).split("### Performance Analysis")[1].lower()
    busy = with_gpu_samples(trace_of(records([1.0] * 5, environment=GPU)), sm_pct=82.1)
    assert "low_sm_activity" not in rules(read_trace(write(tmp_path, busy)))
    idle = with_gpu_samples(trace_of(records([1.0] * 5, environment=GPU)), sm_pct=12.0)
    finding = rules(read_trace(write(tmp_path, idle)))["low_sm_activity"]
    assert finding.evidence == {"sm_activity_pct": 12.0}


def test_fault_5_memory_is_judged_against_the_gpu_that_ran(read: Reader) -> None:
    trace = read(records([1.0] * 3, environment=GPU, peak_bytes=82_600_000_000))
    assert "vram_margin" not in rules(trace)
    text = report(trace)
    assert "48GB" not in text
    assert "Peak GPU Memory reached 82.60 GB of 150.00 GB of this GPU (55 %)" in text
    small = {**GPU, "gpu": GPU["gpu"] | {"mem_total_bytes": 85_000_000_000}}
    finding = rules(read(records([1.0] * 3, environment=small, peak_bytes=82_600_000_000)))["vram_margin"]
    assert finding.evidence == {"peak_bytes": 82.6e9, "device_bytes": 85e9}


def test_fault_6_size_and_offload_are_what_ran_and_not_what_the_name_says(read: Reader) -> None:
    case = tiny_case(size="96*64", offload="model")
    trace = read(records([1.0] * 3, case=case), case=case)
    ran = Trace(**{**vars(trace), "case": trace.case | {"name": "a_480p_case", "size": "832*480", "offload": "none"}})
    (summary,) = tables(report(ran), "Case")
    assert summary[0]["Case"] == "a_480p_case"
    assert summary[0]["Res"] == "96*64 (unofficial)"
    assert summary[0]["Offload"] == "model"


def test_fault_7_a_change_of_step_time_is_reported_and_the_case_marked(read: Reader) -> None:
    trace = read(records([15.19] + [15.03] * 38 + [6.88] * 11))
    finding = rules(trace)["step_time_changed"]
    assert finding.evidence == {"step": 39.0, "before_s": 15.03, "after_s": 6.88}
    (summary,) = tables(report(trace), "Case")
    assert summary[0]["Check"] == "step time changed"
    steady = read(records([15.19] + [6.88] * 49))
    assert "step_time_changed" not in rules(steady)
    assert tables(report(steady), "Case")[0][0]["Check"] == "passed"


def test_fault_8_time_without_a_name_is_printed_and_found(read: Reader) -> None:
    trace = read(records([1.0] * 5, unnamed_s=2.0))
    text = report(trace)
    (stages,) = tables(text, "Stage")
    assert next(row for row in stages if row["Stage"] == "Unaccounted")["Time (s)"] == "2.00"
    assert rules(trace)["unaccounted_time"].evidence["unaccounted_pct"] == pytest.approx(100 * 2 / 13.75)
    assert "unaccounted_time" not in rules(read(records([1.0] * 5, unnamed_s=0.01)))


def test_fault_9_the_report_says_how_to_repeat_every_case(read: Reader) -> None:
    text = report(read(records([1.0] * 3, environment=GPU)))
    for part in (
        "NVIDIA H200, 150.00 GB, compute capability 9.0, CUDA 13.0",
        "Some CPU, 16 logical cores, 16 threads of torch, 128.00 GB",
        "Python 3.12.3, torch 2.11.0, diffusers 0.42.1",
        "commit 0123456789ab",
        "random, tiny scale",
        "2026-11-23 10:00 UTC",
        "TI2V-5B t2v, 64\\*64, 5 frames, 3 steps, guidance 5, shift 5, seed 42, offload none, float32, VAE float32",
        "Prompt: Two anthropomorphic cats",
    ):
        assert part.replace("\\*", "*") in text.replace("\\*", "*"), part


# --- figures ----------------------------------------------------------------------------------------------------


def test_seconds_per_step_leave_out_the_first_and_the_switch_step(read: Reader) -> None:
    experts = ["high_noise"] * 3 + ["low_noise"] * 3
    figures = figures_of(read(records([9.0, 2.0, 2.1, 30.0, 2.2, 2.3], experts=experts)))
    assert figures.step_s == pytest.approx(2.15)
    assert figures.first_step_s == 9.0
    assert figures.switch_step_s == 30.0
    assert figures.step_mean_s == pytest.approx(47.6 / 6)


def test_a_mean_that_stands_for_little_of_the_time_is_absent(read: Reader) -> None:
    # One step of 0.15 s is longer than the sampling interval; the other seven, of 0.04 s each, are not.
    trace = read(records([0.04] * 4 + [0.15] + [0.04] * 3))
    assert figures_of(trace).inference_cpu_pct is None
    assert figures_of(read(records([0.2] * 8))).inference_cpu_pct == pytest.approx(25.0)


def test_the_life_of_the_process_is_accounted_for(read: Reader) -> None:
    text = report(read(records([1.0] * 3)))
    assert "Process\\_Startup 5.00 s, Total\\_Execution 9.75 s, and 0.50 s to check the output and end" in text


def test_one_step_gives_no_seconds_per_step(read: Reader) -> None:
    figures = figures_of(read(records([9.0])))
    assert (figures.step_s, figures.first_step_s, figures.switch_step_s) == (None, 9.0, None)


def test_a_step_that_was_cut_short_is_no_step(read: Reader) -> None:
    rows = records([2.0] * 6)
    cut = next(i for i, row in enumerate(rows) if row["record"] == "begin" and row["name"] == "Step_4")
    trace = read(rows[: cut + 1], outcome=Outcome("killed", "ended by signal SIGKILL"))
    assert figures_of(trace).step_mean_s == 2.0
    text = report(trace)
    assert "**Ended with status killed in Step_4_Inference**: ended by signal SIGKILL" in text
    assert "Step_4_Inference (interrupted)" in text
    assert tables(text, "Case")[0][0]["Status"] == "killed"
    assert tables(text, "Case")[0][0]["Check"] == "n/a"


def test_a_case_that_died_in_startup_is_a_row_without_figures(read: Reader) -> None:
    rows = records([1.0])[:1]
    trace = read(rows, outcome=Outcome("timeout", "ended after timeout_s = 1 s"), samples=Samples([], [], 0.1, None))
    text = report(trace)
    (summary,) = tables(text, "Case")
    assert (summary[0]["Status"], summary[0]["s/step"], summary[0]["Exec(s)"]) == ("timeout", "n/a", "n/a")
    assert "### Inference Statistics" not in text
    assert "unknown: the process ended before it said" in text


def test_the_run_fails_for_failed_cases_and_left_out_traces_but_not_for_out_of_memory(read: Reader) -> None:
    ok = read(records([1.0] * 3))
    oom = read(records([1.0] * 3)[:4], outcome=Outcome("oom", "CUDA out of memory", "OutOfMemoryError"))
    killed = read(records([1.0] * 3)[:4], outcome=Outcome("killed", "ended by signal SIGKILL"))
    none = left_out_table([])
    assert faults_of(cases_table([ok, oom]), none) == []
    assert outcome_of(cases_table([ok, oom])) == {"ok": 1, "oom": 1}
    (fault,) = faults_of(cases_table([ok, killed]), none)
    assert fault.startswith("tiny: killed in Process_Startup: ended by signal SIGKILL")


@pytest.mark.parametrize(
    ("rows", "fires"),
    [
        ({"decode_s": 30.0}, {"dominant_stage"}),
        ({"decode_s": 1.0}, set()),
        # With random weights, initialisation says nothing about loading.
        ({"init_s": 100.0}, set()),
        ({"finite": False}, {"output_not_finite"}),
    ],
)
def test_rules_fire_and_stay_silent(read: Reader, rows: dict, fires: set) -> None:
    assert set(rules(read(records([1.0] * 9, **rows)))) == fires


def test_advice_does_not_ask_for_what_the_case_has(read: Reader) -> None:
    def advice(**settings: Any) -> str:
        case = tiny_case(**settings)
        return rules(read(records([1.0] * 3, decode_s=30.0, case=case), case=case))["dominant_stage"].text

    assert "`vae_dtype: bfloat16`" in advice()
    assert "`vae_tiling: true` saves memory and costs time" in advice(vae_tiling=True)
    assert "bfloat16" not in advice(vae_dtype="bfloat16")


def test_initialisation_from_a_checkpoint_can_dominate(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint/model_index.json").write_text("{}")
    case = tiny_case(weights="pretrained", checkpoint=str(tmp_path / "checkpoint"))
    trace = read(records([1.0] * 3, init_s=100.0, case=case), case=case)
    assert rules(trace)["dominant_stage"].text.startswith("Model_Initialization takes 100.00 s")


def test_host_memory_margin(read: Reader) -> None:
    full = host_samples(60, {"sys_mem_bytes": 120e9, "process_mem_bytes": 1e9})
    assert "host_memory_margin" in rules(read(records([1.0] * 3), samples=full))
    assert "host_memory_margin" not in rules(read(records([1.0] * 3)))


# --- tables and text --------------------------------------------------------------------------------------------


def test_tables_are_typed_and_empty_where_nothing_was_measured(read: Reader, tmp_path: Path) -> None:
    traces = [read(records([1.0] * 3))]
    for name, table in (("cases", cases_table(traces)), ("stages", stages_table(traces))):
        write_table(table, tmp_path / f"{name}.csv", tmp_path / f"{name}.parquet")
        again = pd.read_parquet(tmp_path / f"{name}.parquet")
        assert again.dtypes.equals(table.dtypes)
        text = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(text.columns) == list(table.columns)
        assert pd.isna(text["gpu_mem_allocated_bytes"]).all()
    stages = stages_table(traces)
    assert str(stages["samples"].dtype) == "Int64"
    assert str(stages["time_s"].dtype) == "Float64"
    loading = stages[stages["stage"] == "Step_1_Loading"].iloc[0]
    assert loading["time_s"] == 0
    assert pd.isna(loading["cpu_pct"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (pd.NA, "n/a"),
        (0, "0.00"),
        (1.005, "1.00"),
        (0.0042, "0.004"),
        (0.00042, "0.0004"),
        (-0.001, "-0.001"),
    ],
)
def test_no_number_but_zero_prints_as_zero(value: float | None, text: str) -> None:
    assert fixed(value) == text


def test_text_from_outside_cannot_become_markup() -> None:
    nasty = "a|b\n# c <script>alert(1)</script> `x` *y* [z](http://w) \x07~"
    shown = plain(nasty)
    assert "\n" not in shown
    assert "|" not in shown
    assert "<" not in shown
    assert r"\# c" in shown
    assert r"\`x\`" in shown
    assert r"\[z\]" in shown
    assert plain(None) == "n/a"
    assert escaped_but_code("set `vae_tiling: true` for a_b") == r"set `vae_tiling: true` for a\_b"


def test_a_prompt_with_markup_stays_in_its_line(read: Reader) -> None:
    case = tiny_case(prompt="| x |\n\n# Case: y\n<b>")
    text = report(read(records([1.0] * 3, case=case), case=case))
    assert re.findall(r"^#+ Case: .*", text, re.M) == ["## Case: tiny"]
    assert len(tables(text, "Case")[0]) == 1
