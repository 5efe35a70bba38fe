"""The head of the report: on what and with what, and what is missing."""

import re
from dataclasses import replace
from pathlib import Path

from reports import case_trace, full_case, made, report
from traces import GPU
from wanbench.analysis.collect import without_trace
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace


def test_cases_on_several_gpus_of_one_name_are_told_apart(tmp_path: Path) -> None:
    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    traces = [case_trace(tmp_path, full_case(name), gpu=gpu) for name, gpu in (("a", GPU), ("b", other), ("c", GPU))]
    text = report(*traces)
    assert "The cases ran on 2 GPUs, each named in its case: GPU A is GPU-0, GPU B is GPU-1. GPUs of one name" in text
    assert [text.count(name) for name in ("(GPU A: GPU-0);", "(GPU B: GPU-1);")] == [2, 1]
    unlike = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-2", "name": "NVIDIA L40S"}}
    named = report(traces[0], case_trace(tmp_path, full_case("d"), gpu=unlike))
    assert "GPU A is GPU-0, GPU B is GPU-2.\n" in named
    assert "(GPU-0);" in report(traces[0])
    assert "each named in its case" not in report(traces[0], traces[2])


def test_measuring_lasts_until_the_last_case_ended(tmp_path: Path) -> None:
    trace = case_trace(tmp_path, full_case("a"))
    short = replace(trace, started_at="2026-11-23T18:20:50+00:00", total_duration_s=5.0)
    assert "- **Measured**: 2026-11-23 18:20 UTC\n" in report(short)
    long = replace(short, total_duration_s=700.0)
    assert "- **Measured**: 2026-11-23 18:20 to 2026-11-23 18:32 UTC\n" in report(long)


def test_of_several_gpus_for_a_case_the_head_names_the_first(tmp_path: Path) -> None:
    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    cases = (full_case("a"), GPU), (full_case("b", gpus=2), other)
    text = report(*(case_trace(tmp_path, case, gpu=gpu) for case, gpu in cases))
    assert "The first GPUs of the cases are 2 GPUs, each named in its case: GPU A is GPU-0, GPU B is GPU-1." in text


def at_rate(trace: Trace, tflops_per_s: float, digest: str) -> Trace:
    environment = {**trace.environment, "matmul_flops_per_s": tflops_per_s * 1e12}
    return replace(trace, environment=environment, digests=trace.digests | {"measure": digest})


def test_matrix_rates_are_pooled_only_where_one_code_measured_one_gpu(tmp_path: Path) -> None:
    def line(*traces: Trace) -> str:
        return re.search(r"^- \*\*Matrix products\*\*: (.*)$", report(*traces), re.M)[1]

    other = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}
    a, b, c = (case_trace(tmp_path, full_case(name), gpu=gpu) for name, gpu in (("a", GPU), ("b", GPU), ("c", other)))
    state = ": what bfloat16 products reached here for a moment at the end of each case, GPU warm"
    assert line(a) == "not measured"
    assert line(at_rate(a, 700, "m")) == f"700 TFLOP/s{state}"
    one = line(at_rate(a, 700, "m"), at_rate(b, 800, "m"))
    assert one == f"750 TFLOP/s (median of 2 cases, 700 to 800){state}"
    codes = line(at_rate(a, 700, "m"), at_rate(b, 800, "another"))
    unlike = ". Different versions of the measuring code made these: do not compare them"
    assert codes == f"700 TFLOP/s (commit 0123456789ab); 800 TFLOP/s (commit 0123456789ab){state}{unlike}"
    gpus = line(at_rate(a, 700, "m"), at_rate(c, 800, "m"))
    assert gpus == f"700 TFLOP/s on GPU A; 800 TFLOP/s on GPU B{state}"


def test_commits_with_the_same_measuring_code_are_said_to_have_it(tmp_path: Path) -> None:
    """As those of the cases that were measured on two H200: between them only the report had changed."""

    def line(*traces: Trace) -> str:
        return re.search(r"^- \*\*Measuring code\*\*: (.*)$", report(*traces), re.M)[1]

    a, b = (case_trace(tmp_path, full_case(name)) for name in ("a", "b"))
    later = replace(b, git_commit="fedcba9876543210")
    assert line(a, b) == "commit 0123456789ab"
    both = "commit 0123456789ab (cases: 1); commit fedcba987654 (cases: 1)"
    assert line(a, later) == f"{both}; the measuring code of these is the same"
    assert line(a, replace(later, digests=later.digests | {"measure": "another"})) == both


def with_latches(trace: Trace, found: bool | None, source: str = "gpm_sm_utilisation") -> Trace:
    telemetry = {"sm_activity_source": source} | ({} if found is None else {"gpm_counter_refresh_found": found})
    return replace(trace, environment=trace.environment | {"gpu_telemetry": telemetry})


def test_gpm_values_whose_time_is_not_known_are_called_rough(tmp_path: Path) -> None:
    def note(*found: bool | None, source: str = "gpm_sm_utilisation") -> str | None:
        traces = [
            with_latches(case_trace(tmp_path, full_case(f"case_{i}")), each, source) for i, each in enumerate(found)
        ]
        line = re.search(r"^- \*\*Note\*\*: (.*when GPM's counters were latched.*)$", report(*traces), re.M)
        return line and line[1]

    rough = (
        "it is not known when GPM's counters were latched, and its values may be placed up to 0.1 s too early or too "
        "late: SM, tensor and DRAM activity of stages of a second or less is rough."
    )
    assert note(True, True) is None
    assert note(False, None) == f"Of all cases {rough}"
    assert note(True, False, None) == f"Of 2 cases with GPM of 3 {rough}"
    assert note(None, source="nvml_gpu_utilisation") is None


def test_cases_that_are_missing_are_named_at_the_top(tmp_path: Path) -> None:
    text = report(case_trace(tmp_path, full_case()), excluded=without_trace(["b_1", "c"], "g.yaml"))
    assert "- **Cases**: 1 ok; 2 excluded, for the reasons below: b\\_1, c\n" in text
    assert "- **c**: g.yaml has this case, and there is no trace of it: it was not measured\n" in text
    many = without_trace([f"x{i}" for i in range(50)], "g.yaml")
    assert "x18, x19 and 30 more\n" in report(case_trace(tmp_path, full_case()), excluded=many)


def test_cases_that_did_not_run_to_their_end_are_named(tmp_path: Path) -> None:
    ok = case_trace(tmp_path, full_case("ok", steps=3))
    failed = [
        made(tmp_path, full_case(name, steps=3), until="VAE_Decoding", outcome=Outcome(status, "it failed"))
        for name, status in (("too_big", "oom"), ("b", "error"), ("another", "oom"))
    ]
    assert "- **Cases**: 1 ok, 1 error (b), 2 oom (another, too\\_big)\n" in report(ok, *sorted(failed, key=_name))


def _name(trace: Trace) -> str:
    return trace.case["name"]


def test_a_peak_that_each_case_measured_is_said_once(tmp_path: Path) -> None:
    unknown = GPU | {"gpu": GPU["gpu"] | {"name": "Some GPU"}}
    a, b = (case_trace(tmp_path, full_case(name), gpu=unknown) for name in ("a", "b"))
    text = report(at_rate(a, 700, "m"), at_rate(b, 800, "m"))
    (line,) = re.findall(r"^- \*\*Peak for MFU\*\*: (.*)$", text, re.M)
    assert line.startswith("of each case the rate of matrix products that it measured")
    assert "(cases:" not in line
