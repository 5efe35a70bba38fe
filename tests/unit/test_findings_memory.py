"""Findings about memory: what did not fit, and what only just did."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from traces import GPU
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.measure.outcome import Outcome

MESSAGE = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 39.39 GiB"


def gpu_of(total_bytes: int) -> dict[str, Any]:
    return GPU | {"gpu": GPU["gpu"] | {"name": "Some GPU", "mem_total_bytes": total_bytes}}


def out_of_memory(folder: Path, total_bytes: int, message: str = MESSAGE, **settings: Any) -> Any:
    outcome = Outcome("oom", message, "OutOfMemoryError")
    environment = gpu_of(total_bytes)
    case = full_case(**{"steps": 3} | settings)
    return rules(made(folder, case, until="VAE_Decoding", outcome=outcome, environment=environment))


def test_out_of_memory_says_what_was_asked_for_and_what_would_fit(tmp_path: Path) -> None:
    finding = out_of_memory(tmp_path, 42_000_000_000)["out_of_memory"]
    expected = estimated_peak_bytes(full_case(steps=3))
    assert finding.evidence == {
        "asked_for_bytes": 20 * 2**30,
        "device_bytes": 42e9,
        "estimated_peak_bytes": float(expected),
    }
    assert "in VAE_Decoding when 21.47 GB more were asked for of the 42.00 GB of this Some GPU" in finding.text
    assert (
        "What should fit: `vae_dtype: bfloat16` (about 34.04 GB; lossy: lower precision of the VAE) or "
        "`offload: model` (about 25.30 GB; weights wait in the machine's own memory, up to"
    ) in finding.advice
    assert finding.advised == (("vae_dtype: bfloat16",), ("offload: model",))


@pytest.mark.parametrize(
    ("total_gb", "settings", "advised"),
    [
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
    ],
)
def test_the_cheapest_settings_that_fit(
    tmp_path: Path, total_gb: float, settings: dict[str, Any], advised: tuple[tuple[str, ...], ...]
) -> None:
    finding = out_of_memory(tmp_path, round(total_gb * 10**9), **settings)["out_of_memory"]
    assert finding.advised == advised


def test_a_case_that_should_have_fitted_points_at_what_else_held_memory(tmp_path: Path) -> None:
    finding = out_of_memory(tmp_path, 150 * 10**9)["out_of_memory"]
    assert "That would fit: look for what else held memory" in finding.advice
    assert finding.advised == ()


def test_a_case_that_did_not_fit_did_not_only_just_fit(tmp_path: Path) -> None:
    outcome = Outcome("oom", MESSAGE, "OutOfMemoryError")
    case, environment = full_case(steps=3), gpu_of(42 * 10**9)
    found = rules(made(tmp_path, case, outcome=outcome, environment=environment, peak_bytes=41 * 10**9))
    assert "out_of_memory" in found
    assert "vram_margin" not in found


def test_a_message_without_a_size_and_a_case_that_ran(tmp_path: Path) -> None:
    evidence = out_of_memory(tmp_path, 42 * 10**9, "out of memory")["out_of_memory"].evidence
    assert "asked_for_bytes" not in evidence
    assert "out_of_memory" not in rules(made(tmp_path, full_case(steps=3)))


def margin(folder: Path, peak_gb: int, measures: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    case = full_case(steps=3, **settings)
    environment = gpu_of(80 * 10**9)
    return rules(made(folder, case, peak_bytes=peak_gb * 10**9, measures=measures, environment=environment))


def test_the_margin_of_gpu_memory(tmp_path: Path) -> None:
    finding = margin(tmp_path, 75)["vram_margin"]
    assert finding.evidence == {"peak_bytes": 75e9, "device_bytes": 80e9}
    assert finding.advised_alone == (
        "offload: model",
        "offload: group_stream",
        "vae_dtype: bfloat16",
        "vae_tiling: true",
    )
    assert "`vae_dtype: bfloat16` (about 34.04 GB; lossy: lower precision of the VAE)" in finding.advice
    streamed = "`offload: group_stream` (about 22.48 GB; weights are pinned in the machine's own memory, up to 44.92 of"
    assert f"{streamed} 128.00 GB)" in finding.advice
    assert "vram_margin" not in margin(tmp_path, 60)


def test_what_others_hold_counts_and_what_the_allocator_keeps_does_not(tmp_path: Path) -> None:
    def used(reserved_gb: int, used_gb: int) -> dict[str, Any]:
        return {"VAE_Decoding": {"gpu_mem_reserved_bytes": reserved_gb * 10**9, "gpu_mem_used_bytes": used_gb * 10**9}}

    crowded = margin(tmp_path, 60, used(62, 76))["vram_margin"]
    assert crowded.evidence["outside_torch_bytes"] == 14e9
    assert "with 14.00 GB that CUDA and others held" in crowded.text
    assert "vram_margin" not in margin(tmp_path, 60, used(76, 78))


def test_memory_advice_leaves_out_what_the_case_has(tmp_path: Path) -> None:
    finding = margin(tmp_path, 75, vae_tiling=True, vae_dtype="bfloat16", offload="group_stream")["vram_margin"]
    assert (finding.advised, "smaller or shorter" in finding.advice) == ((), True)


def test_settings_that_do_not_lower_the_peak_are_not_advised(tmp_path: Path) -> None:
    """A14B with offload peaks in denoising: nothing about the VAE changes that."""
    case = full_case("own", "T2V-A14B", size="832*480", steps=3, offload="model")
    trace = made(tmp_path, case, peak_bytes=32_548_000_000, environment=gpu_of(34 * 10**9), experts=["high_noise"] * 3)
    finding = rules(trace)["vram_margin"]
    assert finding.advised == (("compile: repeated_blocks",), ("offload: group_stream",))
    assert "(about 30.85 GB) or `offload: group_stream` (about 9.77 GB;" in finding.advice


def test_a_setting_that_this_gpu_showed_to_save_nothing_is_not_advised(tmp_path: Path) -> None:
    def trace(name: str, gpu: str, **settings: Any) -> Any:
        environment = gpu_of(80 * 10**9)
        environment = environment | {"gpu": environment["gpu"] | {"uuid": gpu}}
        return made(tmp_path, full_case(name, steps=3, **settings), peak_bytes=75 * 10**9, environment=environment)

    own = trace("own", "GPU-0")
    assert "vae_tiling: true" in rules(own, trace("tiled", "GPU-1", vae_tiling=True))["vram_margin"].advised_alone
    assert "vae_tiling: true" not in rules(own, trace("tiled", "GPU-0", vae_tiling=True))["vram_margin"].advised_alone


def test_the_margin_of_host_memory(tmp_path: Path) -> None:
    full = {".*": {"sys_mem_bytes": 120e9}}
    assert rules(made(tmp_path, full_case(steps=3), measures=full))["host_memory_margin"].advised == ()
    offloaded = rules(made(tmp_path, full_case(steps=3, offload="model"), measures=full))["host_memory_margin"]
    assert "`offload: none`" in offloaded.advice
    small = made(tmp_path, full_case(steps=3, offload="model"), measures=full, environment=gpu_of(20 * 10**9))
    too_much = rules(small)["host_memory_margin"]
    assert (too_much.advised, "too much for the 20.00 GB of this GPU" in too_much.advice) == ((), True)
    assert "host_memory_margin" not in rules(made(tmp_path, full_case(steps=3)))
