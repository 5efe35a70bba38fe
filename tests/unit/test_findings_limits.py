"""Findings about what a case ran out of, or nearly, and the settings that should fit."""

import re
from pathlib import Path
from typing import Any

from reports import full_case, made, rules, rules_by_case
from traces import gpu_with
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace

MESSAGE = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 39.39 GiB"
GB = 10**9


def gpu_of(size_gb: float) -> dict[str, Any]:
    return gpu_with(name="Some GPU", mem_total_bytes=round(size_gb * GB))


# --- out of memory ----------------------------------------------------------------------------------------------


def out_of_memory(folder: Path, size_gb: float, name: str = "full", **settings: Any) -> Trace:
    outcome = Outcome("oom", MESSAGE, "OutOfMemoryError")
    experts = {"experts": ["high_noise"] * 3} if settings.get("model") else {}
    case = full_case(name, **{"steps": 3} | settings)
    return made(folder, case, until="VAE_Decoding", outcome=outcome, environment=gpu_of(size_gb), **experts)


def test_out_of_memory_names_what_would_fit(tmp_path: Path) -> None:
    finding = rules(out_of_memory(tmp_path, 42))["out_of_memory"]
    estimated_bytes = float(estimated_peak_bytes(full_case(steps=3)))
    assert finding.evidence == {"gpu_mem_total_bytes": 42e9, "estimated_peak_bytes": estimated_bytes}
    assert "in VAE_Decoding, 42.00 GB on this Some GPU" in finding.text
    assert "`vae_dtype: bfloat16` (about 34.04 GB; lossy) or `offload: model` (about 25.30 GB; up to" in finding.advice
    assert finding.advised == (("vae_dtype: bfloat16",), ("offload: model",))
    assert "out_of_memory" not in rules(made(tmp_path, full_case(steps=3)))


def test_the_cheapest_settings_that_fit(tmp_path: Path) -> None:
    expected: list[tuple[float, dict[str, Any], tuple[tuple[str, ...], ...]]] = [
        (36, {}, (("vae_tiling: true",), ("offload: model",))),
        (33.5, {}, (("vae_dtype: bfloat16", "vae_tiling: true"), ("offload: model",))),
        (28.5, {}, (("offload: model",),)),
        (20, {}, (("offload: model", "vae_dtype: bfloat16"),)),
        (36, {"vae_dtype": "bfloat16"}, (("vae_tiling: true",), ("offload: model",))),
        (8, {}, (("offload: group_stream", "vae_tiling: true"),)),
        (7, {}, (("offload: group_stream", "vae_dtype: bfloat16", "vae_tiling: true"),)),
        # Hooks on every layer do not go with compilation.
        (9, {"compile": "repeated_blocks", "vae_tiling": True}, (("offload: group_stream", "compile: none"),)),
        (4, {}, ()),
        # As T2V_A14B_720p on an H100: neither compiling nor tiles are enough alone.
        (85.02, {"model": "T2V-A14B"}, (("compile: repeated_blocks", "vae_tiling: true"), ("offload: model",))),
        # It would fit: something else held memory.
        (150, {}, ()),
    ]
    cases = [out_of_memory(tmp_path, size_gb, f"{i}", **settings) for i, (size_gb, settings, _) in enumerate(expected)]
    found = rules_by_case(*cases)
    for i, (size_gb, settings, advised) in enumerate(expected):
        finding = found[f"{i}"]["out_of_memory"]
        assert finding.advised == advised, (size_gb, settings)
        assert ("what else held memory" in finding.advice) == (size_gb == 150)


def test_a_case_that_did_not_fit_has_no_other_finding_of_memory_or_speed(tmp_path: Path) -> None:
    eager = {r"Step_\d+_Inference": {"sm_activity_pct": 98.0, "tensor_activity_pct": 51.0}}
    options = {"measures": eager, "environment": gpu_of(42), "peak_bytes": 41 * GB}
    assert {"kernel_bound", "vram_margin"} <= rules(made(tmp_path, full_case(steps=3), **options)).keys()
    failed = made(tmp_path, full_case(steps=3), outcome=Outcome("oom", MESSAGE, "OutOfMemoryError"), **options)
    assert set(rules(failed)) == {"out_of_memory"}


# --- nearly full ------------------------------------------------------------------------------------------------


def margin(folder: Path, peak_gb: int, measures: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    case = full_case(steps=3, **settings)
    return rules(made(folder, case, peak_bytes=peak_gb * GB, measures=measures, environment=gpu_of(80)))


def test_the_margin_of_gpu_memory(tmp_path: Path) -> None:
    finding = margin(tmp_path, 75)["vram_margin"]
    assert finding.evidence == {"gpu_mem_allocated_bytes": 75e9, "gpu_mem_total_bytes": 80e9}
    assert finding.advised == (("vae_dtype: bfloat16",), ("offload: model",))
    assert "`vae_dtype: bfloat16` (about 34.04 GB; lossy)" in finding.advice
    assert re.search(r"`offload: model` \(about .* GB; up to .* of 128.00 GB of host memory\)", finding.advice)
    assert "vram_margin" not in margin(tmp_path, 60)


def test_what_others_hold_counts_and_what_the_allocator_keeps_does_not(tmp_path: Path) -> None:
    def used(reserved_gb: int, used_gb: int) -> dict[str, Any]:
        return {"VAE_Decoding": {"gpu_mem_reserved_bytes": reserved_gb * GB, "gpu_mem_used_bytes": used_gb * GB}}

    assert margin(tmp_path, 60, used(62, 76))["vram_margin"].evidence["outside_torch_bytes"] == 14e9
    assert "vram_margin" not in margin(tmp_path, 60, used(76, 78))


def test_memory_advice_is_what_the_case_has_not_and_what_should_fit(tmp_path: Path) -> None:
    finding = margin(tmp_path, 75, vae_tiling=True, vae_dtype="bfloat16", offload="group_stream")["vram_margin"]
    assert (finding.advised, "smaller or shorter" in finding.advice) == ((), True)
    # A14B with offload peaks in denoising: nothing about the VAE changes that.
    case = full_case("own", "T2V-A14B", size="832*480", steps=3, offload="model")
    own = made(tmp_path, case, peak_bytes=32_548_000_000, environment=gpu_of(34), experts=["high_noise"] * 3)
    assert rules(own)["vram_margin"].advised == (("offload: group_stream",),)


def test_the_margin_of_host_memory(tmp_path: Path) -> None:
    def held(**options: Any) -> dict[str, Any]:
        case = full_case(steps=3, offload=options.pop("offload", "model"))
        return rules(made(tmp_path, case, measures={".*": {"sys_mem_bytes": 120e9}}, **options))

    assert held(offload="none")["host_memory_margin"].advised == ()
    assert held()["host_memory_margin"].advised == (("offload: none",),)
    assert held(environment=gpu_of(20))["host_memory_margin"].advised == ()
    failed = held(outcome=Outcome("oom", MESSAGE, "OutOfMemoryError"), until="VAE_Decoding")
    assert failed["host_memory_margin"].advised == ()
    assert "host_memory_margin" not in rules(made(tmp_path, full_case(steps=3)))


# --- time -------------------------------------------------------------------------------------------------------


def test_a_case_that_ran_out_of_time_is_told_and_another_end_is_not(tmp_path: Path) -> None:
    expected: list[tuple[str, dict[str, Any], str, str]] = [
        # 5 s to start, 2 to initialise, 0.75 to encode, six steps of 2 s and 0.5 s to end.
        ("Step_6", {}, "with 6 of 10 steps done; at 2.00 s/step the others take 8.00 s", "`timeout_s: 43`"),
        ("Step_6", {"repeats": 2, "warmup": 1}, "with 6 of 30 steps done", "`timeout_s: "),
        ("Step_3", {"steps": 5, "warmup": 1}, "3 of 10 steps done; at 2.00 s/step the others take 14.00 s", "Set"),
        ("Step_6", {"timeout_s": 14400}, "with 6 of 10 steps done", "`timeout_s: 14400` should do"),
        ("Step_0", {}, "with 0 of 10 steps done.", "Raise `timeout_s`."),
    ]
    killed = Outcome("killed", "ended by signal SIGKILL")
    traces = [made(tmp_path, full_case("killed", steps=9, timeout_s=20), until="Step_6", outcome=killed)]
    for i, (until, settings, *_) in enumerate(expected):
        case = full_case(f"{i}", **{"steps": 10, "timeout_s": 20} | settings)
        traces.append(made(tmp_path, case, until=until, outcome=Outcome("timeout", "ended")))
    found = rules_by_case(*traces)
    assert "timed_out" not in found["killed"]
    for i, (*_, words, advice) in enumerate(expected):
        finding = found[f"{i}"]["timed_out"]
        assert finding.severity == "warning"
        assert words in finding.text
        assert advice in finding.advice
