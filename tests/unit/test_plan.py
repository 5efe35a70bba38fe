"""What a grid will need, before anything runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from checkpoints import write_hollow_checkpoint
from conftest import ROOT
from example_cases import case_of_row, full_case, tiny_case
from wanbench.cases.case import case_sha256
from wanbench.estimate.duration import estimated_duration_s
from wanbench.estimate.expected import Expected, expected_time, kept_cases
from wanbench.estimate.machine import Machine
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.estimate.plan import Needs, needs_of, plan_text
from wanbench.telemetry.gpus import Gpu
from wanbench.trace.writer import write_trace

L40S = Gpu("GPU-0", 48_000_000_000, "NVIDIA L40S")
HAS = {"no_answer": "", "host_bytes": 64_000_000_000, "free_disk_bytes": 9_000_000_000}
ONE_GPU = Machine((L40S,), **HAS)


def test_the_needs_of_a_case_are_the_estimates_and_no_more_time_than_it_may_take() -> None:
    case = full_case(gpus=2)
    memory = estimated_peak_bytes(case), estimated_host_bytes(case)
    assert needs_of(case) == Needs("full", 2, *memory, estimated_duration_s(case), full_scale=True)
    assert needs_of(full_case(timeout_s=60)).time_s == 60
    assert (needs_of(tiny_case()).gpu_bytes, needs_of(tiny_case()).time_s) == (None, 2 * 60)


def test_a_checkpoint_of_a_tiny_model_needs_as_little_as_one(tmp_path: Path) -> None:
    """The plan had it need 45.7 GB of GPU memory, and ran in half a gigabyte of the host's."""

    def loads(**checkpoint: str | None) -> Needs:
        return needs_of(replace(full_case(), weights="pretrained", scale=None, **checkpoint))

    write_hollow_checkpoint(tmp_path / "small", transformer_bytes=50_000_000)
    write_hollow_checkpoint(tmp_path / "large", transformer_bytes=10_000_000_000)
    small = loads(checkpoint=str(tmp_path / "small"), checkpoint_sha256="0")
    assert small == replace(needs_of(tiny_case()), name="full", host_bytes=small.host_bytes)
    assert small.host_bytes < 9e9
    assert loads(checkpoint="results/checkpoints/tiny/TI2V-5B") == small
    assert loads(checkpoint=str(tmp_path / "large"), checkpoint_sha256="0").full_scale
    assert loads(checkpoint="someone/model", revision="0" * 40).full_scale


def test_the_table_has_a_row_for_each_case_and_the_sum_of_their_times() -> None:
    rows = [
        some_needs("a", gpu_bytes=15_940_000_000, time_s=4000, expected=Expected(600, "its trace")),
        some_needs("longer_name", gpus=2, host_bytes=12_500_000_000, time_s=360_001),
    ]
    assert plan_text(rows, ONE_GPU).splitlines()[:5] == [
        "Case         GPUs  GPU memory  Host memory    Expected       At most  Expected from",
        "a               1     15.9 GB       6.0 GB  0 h 10 min    1 h 07 min  its trace",
        "longer_name     2         n/a      12.5 GB         n/a  100 h 01 min  nothing measured",
        "Sum                                         0 h 10 min  101 h 07 min  expected of 1 of 2 cases",
        "",
    ]


def test_published_weights_are_to_be_downloaded() -> None:
    lines = plan_text([needs_of(full_case(weights="pretrained"))], ONE_GPU).splitlines()
    assert any("To download" in line and "Wan-AI/Wan2.2-TI2V-5B-Diffusers" in line for line in lines)
    assert "To download" not in plan_text([needs_of(full_case())], ONE_GPU)


def test_the_expected_time_is_of_the_own_trace_and_else_of_a_kept_case_on_this_kind_of_gpu(tmp_path: Path) -> None:
    kept, case = kept_cases(ROOT / "results/reference"), full_case(steps=10)
    found = expected_time(case, tmp_path, kept, "NVIDIA H200")
    # Four measured ones: 57.3 and 60.9 s of ten steps, 37.2 s of four and 6 steps of 2.37 s more.
    assert found.source in ("kept case 03_5B_Performance_Mode_704p", "kept case 5B_704p")
    assert 48 < found.time_s < 62
    assert expected_time(case, tmp_path, kept, "Tesla T4") is None
    by_datasheet = expected_time(case, tmp_path, kept, "NVIDIA L40S")
    assert "datasheet" in by_datasheet.source
    assert 80 < by_datasheet.time_s < 160
    assert expected_time(full_case(attention="flex"), tmp_path, kept, "NVIDIA H200") is None
    trace = {"status": "ok", "digests": {"case_sha256": case_sha256(case)}, "total_duration_s": 55.5}
    write_trace(tmp_path / "full.json", trace | {"traceEvents": []})
    assert expected_time(case, tmp_path, kept, None) == Expected(55.5, "its trace")
    # Of other settings it says nothing.
    assert expected_time(replace(case, seed=1), tmp_path, [], None) is None


def test_kept_cases_and_the_datasheet_foretell_kept_cases() -> None:
    plain = {"status": "ok", "gpus": "1", "cache": "none", "weights": "random"}
    rows = [row for row in kept_cases(ROOT / "results/reference") if plain.items() <= row.items()]
    by_others, by_datasheet = [], []
    for row in rows:
        case, time_s = case_of_row(row), float(row["total_duration_s"])
        if found := expected_time(case, Path("nowhere"), [], row["gpu_name"]):
            by_datasheet.append(abs(found.time_s / time_s - 1))
        others = [other for other in rows if other is not row]
        found = expected_time(case, Path("nowhere"), others, row["gpu_name"])
        if found and found.source.startswith("kept case") and case.model == "TI2V-5B":
            by_others.append((found.time_s - time_s, time_s))
    assert len(by_others) > 5
    # Of cases of a minute: a fresh machine took 17 s more to read the packages.
    assert all(abs(error_s) < max(0.3 * time_s, 20) for error_s, time_s in by_others), by_others
    assert len(by_datasheet) > 60
    assert max(by_datasheet) < 0.75
    assert sorted(by_datasheet)[len(by_datasheet) // 2] < 0.12


def some_needs(name: str, **values: Any) -> Needs:
    known = {"gpus": 1, "gpu_bytes": None, "host_bytes": 6_000_000_000, "time_s": 60}
    return Needs(name, **known | {"full_scale": True} | values)


def machine_lines(needs: list[Needs], machine: Machine) -> list[str]:
    lines = plan_text(needs, machine).splitlines()
    return lines[lines.index("", lines.index("") + 1) + 1 :]


def test_cases_that_need_more_than_the_machine_has_are_named() -> None:
    needs = [
        some_needs("fits", gpu_bytes=47_000_000_000),
        *(some_needs(f"large_{i}", gpu_bytes=49_000_000_000) for i in range(5)),
        some_needs("offloaded", host_bytes=65_000_000_000),
        some_needs("on_two", gpus=2, gpu_bytes=90_000_000_000),
    ]
    assert machine_lines(needs, ONE_GPU)[1:] == [
        "GPUs that may be used: 1 x NVIDIA L40S, 48.0 GB",
        "Host memory: 64.0 GB",
        "Free disk: 9.0 GB; a case writes up to 0.1 GB (video, trace, pictures)",
        "Needs more GPUs: 1 case: on_two",
        "Needs more GPU memory: 5 cases: large_0, large_1, large_2 and 2 more",
        "May need more host memory: 1 case: offloaded",
    ]


def test_a_case_on_several_gpus_needs_the_memory_on_each_and_what_fits_is_said_to_fit() -> None:
    machine = Machine((L40S, Gpu("GPU-1", 150_000_000_000, "NVIDIA H200"), L40S), **HAS)
    lines = machine_lines([some_needs(f"on_{n}", gpus=n, gpu_bytes=90_000_000_000) for n in (1, 2)], machine)
    assert "GPUs that may be used: 2 x NVIDIA L40S, 48.0 GB; 1 x NVIDIA H200, 150.0 GB" in lines
    assert "Needs more GPU memory: 1 case: on_2" in lines
    assert machine_lines([some_needs("on_1", gpu_bytes=90_000_000_000)], machine)[-1].startswith("No case needs more")
