"""What is advised where memory is short: settings that should fit together, and what other cases show of it."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from traces import GPU
from wanbench.findings.basis import Finding
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace

OOM = Outcome("oom", "CUDA out of memory", "OutOfMemoryError")
EXPERTS = ["high_noise"] * 3
MOVES = {"VAE_Decoding": {"transfers": 2, "offloading_s": 2.0, "offloaded_bytes": 4 * 10**9}}


def gpu_of(size_gb: float) -> dict[str, Any]:
    return GPU | {"gpu": GPU["gpu"] | {"mem_total_bytes": round(size_gb * 10**9)}}


def trace(folder: Path, name: str, size_gb: float, step_s: float = 2.0, steps: int = 3, **options: Any) -> Trace:
    settings = {"offload": "model", "compile": "repeated_blocks", "size": "832*480"} | options.pop("settings", {})
    case = full_case(name, "T2V-A14B", steps=steps, **settings)
    options = {"measures": MOVES, "experts": ["high_noise"] * steps} | options
    return made(folder, case, [step_s] * steps, environment=gpu_of(size_gb), **options)


# --- all weights on the GPU -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size_gb", "words", "advised"),
    [
        (90, "and this GPU has 90.00 GB: set it.", (("offload: none",),)),
        (
            85,
            "`offload: none` needs about 78.91 GB allocated, 93 % of the 85.00 GB of this GPU and above "
            "`full_gpu_memory_pct`. What should fit: `offload: none` and `vae_dtype: bfloat16` (about 73.77 GB; lossy: "
            "lower precision of the VAE) or `offload: none` and `vae_tiling: true` (about 74.53 GB; lossy: blends the "
            "borders of tiles).",
            (("offload: none", "vae_dtype: bfloat16"), ("offload: none", "vae_tiling: true")),
        ),
        (78, "too much for the 78.00 GB of this GPU", (("offload: group_stream", "compile: none"),)),
    ],
)
def test_what_lets_all_weights_stay_on_the_gpu(
    tmp_path: Path, size_gb: float, words: str, advised: tuple[tuple[str, ...], ...]
) -> None:
    finding = rules(trace(tmp_path, "own", size_gb))["transfer_bound"]
    assert words in finding.advice
    assert finding.advised == advised


def test_precision_is_not_given_up_where_compiling_alone_lets_all_weights_stay(tmp_path: Path) -> None:
    """Tiles and half precision make decoding small, so that denoising is the peak."""
    small = {"compile": "none", "vae_tiling": True, "vae_dtype": "bfloat16", "size": "1280*720"}
    finding = rules(trace(tmp_path, "own", 84, settings=small))["transfer_bound"]
    assert finding.advised == (("offload: none", "compile: repeated_blocks"),)


# --- compilation for streaming ----------------------------------------------------------------------------------


def streamed(folder: Path, eager_s: float, **options: Any) -> Finding:
    own = trace(folder, "own", 60)
    eager = trace(folder, "eager", 60, eager_s, settings={"compile": "none"} | options.pop("settings", {}), **options)
    return rules(own, eager)["transfer_bound"]


def test_streaming_is_not_advised_where_it_costs_more_than_it_saves(tmp_path: Path) -> None:
    """Of 2 s that move, 40 steps of 0.06 s more leave nothing."""
    finding = streamed(tmp_path, 2.06, steps=4)
    assert finding.advised == ()
    assert (
        "`offload: group_stream` does not go with compilation, which saves more: 2.06 s/step instead of 2.00 in case "
        "eager, 2.40 s over 40 steps. Only a GPU with more memory helps."
    ) in finding.advice


def test_streaming_is_advised_with_what_it_costs(tmp_path: Path) -> None:
    cheap = streamed(tmp_path, 2.03, steps=4)
    assert cheap.advised == (("offload: group_stream", "compile: none"),)
    assert "; costs the speed of compilation; 2.03 s/step instead of 2.00 in case eager, 1.20 s over" in cheap.advice
    alone = rules(trace(tmp_path, "own", 60))["transfer_bound"]
    assert "GB; costs the speed of compilation), which copies while the GPU computes" in alone.advice


def test_a_case_that_did_not_fit_shows_what_steps_cost_too(tmp_path: Path) -> None:
    failed = {"outcome": OOM, "until": "VAE_Decoding", "settings": {"offload": "none"}, "steps": 4}
    assert "in case eager" in streamed(tmp_path, 9.0, **failed).advice
    assert "in case eager" not in streamed(tmp_path, 9.0, settings={"attention": "_native_cudnn"}).advice


# --- a case that did not fit ------------------------------------------------------------------------------------


def not_fitting(folder: Path, size_gb: float, **settings: Any) -> Trace:
    plain = {"offload": "none", "compile": "none", "size": "1280*720"}
    return trace(folder, "own", size_gb, outcome=OOM, until="VAE_Decoding", settings=plain | settings)


def test_settings_that_fit_are_named_without_and_with_offload(tmp_path: Path) -> None:
    """As T2V_A14B_720p on an H100: neither compiling nor tiles are enough alone."""
    finding = rules(not_fitting(tmp_path, 85.02))["out_of_memory"]
    assert finding.advised == (("compile: repeated_blocks", "vae_tiling: true"), ("offload: model",))
    assert "(about 75.04 GB; lossy: blends the borders of tiles) or `offload: model` (about 37.69 GB;" in finding.advice


def test_a_case_that_did_not_fit_is_told_nothing_of_speed(tmp_path: Path) -> None:
    """As T2V_A14B_720p on an H100: compiling alone still ends out of memory."""
    eager = {r"Step_\d+_Inference": {"sm_activity_pct": 98.0, "tensor_activity_pct": 51.0}}
    settings = {"offload": "none", "compile": "none", "size": "1280*720"}
    assert "kernel_bound" in rules(trace(tmp_path, "own", 150, measures=eager, settings=settings))
    failed = trace(tmp_path, "own", 85, outcome=OOM, until="VAE_Decoding", measures=eager, settings=settings)
    assert set(rules(failed)) == {"out_of_memory"}


def test_a_case_that_did_not_fit_is_not_told_to_keep_its_weights_on_the_gpu(tmp_path: Path) -> None:
    full = {".*": {"sys_mem_bytes": 120e9}}
    failed = trace(tmp_path, "own", 90, outcome=OOM, until="VAE_Decoding", measures=full)
    assert rules(failed)["host_memory_margin"].advised == ()


def test_a_case_that_fitted_is_named(tmp_path: Path) -> None:
    settings = {"size": "1280*720"}
    slow = trace(tmp_path, "slow", 85.02, 3.0, settings=settings, peak_bytes=30 * 10**9)
    fast = trace(tmp_path, "fast", 85.02, 2.0, settings=settings, peak_bytes=33 * 10**9)
    advice = rules(not_fitting(tmp_path, 85.02), slow, fast)["out_of_memory"].advice
    assert advice.endswith(
        "Measured here: case fast (`offload: model` and `compile: repeated_blocks`) fits with 33.00 GB."
    )
    elsewhere = trace(tmp_path, "elsewhere", 150, settings=settings)
    other_video = trace(tmp_path, "other_video", 85.02)
    assert "Measured" not in rules(not_fitting(tmp_path, 85.02), elsewhere, other_video)["out_of_memory"].advice
