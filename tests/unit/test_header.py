"""The head of the report: on what and with what, and what is missing."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from reports import case_trace, full_case, made, report
from traces import GPU
from wanbench.analysis.collect import without_trace
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace


def test_cases_on_several_gpus_of_one_name_are_told_apart(tmp_path: Path) -> None:
    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    traces = [case_trace(tmp_path, full_case(name), gpu=gpu) for name, gpu in (("a", GPU), ("b", other), ("c", GPU))]
    text = report(*traces)
    assert "2 GPUs, each named in its case: GPU A is GPU-0, GPU B is GPU-1. GPUs of one name" in text
    assert [text.count(name) for name in ("(GPU A: GPU-0);", "(GPU B: GPU-1);")] == [2, 1]
    unlike = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-2", "name": "NVIDIA L40S"}}
    assert "GPU B is GPU-2.\n" in report(traces[0], case_trace(tmp_path, full_case("d"), gpu=unlike))
    assert "each named in its case" not in report(traces[0], traces[2])
    shared = case_trace(tmp_path, full_case("b", gpus=2), gpu=other)
    assert "The first GPUs of the cases are 2 GPUs" in report(traces[0], shared)


def test_measuring_lasts_until_the_last_case_ended(tmp_path: Path) -> None:
    trace = case_trace(tmp_path, full_case("a"))
    short = replace(trace, started_at="2026-11-23T18:20:50+00:00", total_duration_s=5.0)
    assert "- **Measured**: 2026-11-23 18:20 UTC\n" in report(short)
    long = replace(short, total_duration_s=700.0)
    assert "- **Measured**: 2026-11-23 18:20 to 2026-11-23 18:32 UTC\n" in report(long)


def at_rate(trace: Trace, tflops_per_s: float, digest: str) -> Trace:
    environment = {**trace.environment, "matmul_flops_per_s": tflops_per_s * 1e12}
    return replace(trace, environment=environment, digests=trace.digests | {"measure": digest})


def line(label: str, *traces: Trace) -> str:
    """What the head of a report says under a label."""
    return re.search(rf"^- \*\*{label}\*\*: (.*)$", report(*traces), re.M)[1]


def test_matrix_rates_are_pooled_only_where_one_code_measured_one_gpu(tmp_path: Path) -> None:
    def rates(*traces: Trace) -> str:
        return line("Matrix products", *traces).partition(", in bfloat16")[0]

    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    a, b, c = (case_trace(tmp_path, full_case(name), gpu=gpu) for name, gpu in (("a", GPU), ("b", GPU), ("c", other)))
    assert rates(a) == "not measured"
    assert rates(at_rate(a, 700, "m")) == "700 TFLOP/s"
    same = at_rate(a, 700, "m"), at_rate(b, 800, "m")
    assert rates(*same) == "750 TFLOP/s (median of 2 cases, 700 to 800)"
    assert "do not compare" not in line("Matrix products", *same)
    unlike = at_rate(a, 700, "m"), at_rate(b, 800, "another")
    assert rates(*unlike) == "700 TFLOP/s (commit 0123456789ab); 800 TFLOP/s (commit 0123456789ab)"
    assert "do not compare" in line("Matrix products", *unlike)
    assert rates(at_rate(a, 700, "m"), at_rate(c, 800, "m")) == "700 TFLOP/s on GPU A; 800 TFLOP/s on GPU B"


def test_commits_with_the_same_measuring_code_are_said_to_have_it(tmp_path: Path) -> None:
    """As those of the cases that were measured on two H200: between them only the report had changed."""
    a, b = (case_trace(tmp_path, full_case(name)) for name in ("a", "b"))
    later = replace(b, git_commit="fedcba9876543210")
    both = "commit 0123456789ab (cases: 1); commit fedcba987654 (cases: 1)"
    assert line("Measuring code", a, b) == "commit 0123456789ab"
    assert line("Measuring code", a, later) == f"{both}; the measuring code of these is the same"
    assert line("Measuring code", a, replace(later, digests=later.digests | {"measure": "another"})) == both


def with_refresh(trace: Trace, found: bool | None, source: str) -> Trace:
    telemetry = {"sm_activity_source": source} | ({} if found is None else {"gpm_counter_refresh_found": found})
    return replace(trace, environment=trace.environment | {"gpu_telemetry": telemetry})


@pytest.mark.parametrize(
    ("found", "source", "which"),
    [
        ((True, True), "gpm_sm_utilisation", None),
        ((False, None), "gpm_sm_utilisation", "all cases"),
        ((True, False, None), "gpm_sm_utilisation", "2 of 3 cases with GPM"),
        ((None,), "nvml_gpu_utilisation", None),
    ],
)
def test_gpm_values_whose_time_is_not_known_are_called_rough(
    tmp_path: Path, found: tuple[bool | None, ...], source: str, which: str | None
) -> None:
    cases = [case_trace(tmp_path, full_case(f"case_{i}")) for i in range(len(found))]
    text = report(*(with_refresh(trace, each, source) for trace, each in zip(cases, found)))
    note = re.search(r"^- \*\*Note\*\*: The counter refresh of GPM is not known in (.*?): .* rough", text, re.M)
    assert (note and note[1]) == which


def test_cases_that_are_missing_are_named_at_the_top(tmp_path: Path) -> None:
    text = report(case_trace(tmp_path, full_case()), excluded=without_trace(["b_1", "c"], "g.yaml"))
    assert "; 2 excluded, see below: b\\_1, c\n" in text
    assert "- **c**: g.yaml has this case, and there is no trace of it: it was not measured\n" in text
    many = without_trace([f"x{i}" for i in range(50)], "g.yaml")
    assert "x18, x19 and 30 more\n" in report(case_trace(tmp_path, full_case()), excluded=many)


def test_cases_that_did_not_run_to_their_end_are_named(tmp_path: Path) -> None:
    ok = case_trace(tmp_path, full_case("ok", steps=3))
    failed = [
        made(tmp_path, full_case(name, steps=3), until="VAE_Decoding", outcome=Outcome(status, "it failed"))
        for name, status in (("another", "oom"), ("b", "error"), ("too_big", "oom"))
    ]
    counts = line("Cases", ok, *failed)
    for words in ("1 ok", "1 error (b)", "2 oom (another, too\\_big)"):
        assert words in counts


def test_a_peak_that_each_case_measured_is_said_once(tmp_path: Path) -> None:
    unknown = GPU | {"gpu": GPU["gpu"] | {"name": "Some GPU"}}
    a, b = (case_trace(tmp_path, full_case(name), gpu=unknown) for name in ("a", "b"))
    peak = line("Peak for MFU", at_rate(a, 700, "m"), at_rate(b, 800, "m"))
    assert "each case measured" in peak
    assert "(cases:" not in peak
