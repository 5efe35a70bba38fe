"""Closed forms against torch's own counter, on full-size modules that hold no data, and the profiler at tiny scale."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, WanTransformer3DModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, UMT5EncoderModel

from example_cases import tiny_case
from tiny import CPU, record
from wanbench.analysis.breakdown import Row
from wanbench.analysis.mfu import mfu_pct, peak_of
from wanbench.estimate.duration import architecture
from wanbench.measure.wan.build import ARCHITECTURES, build_pipeline
from wanbench.measure.wan.profile_kernels import STEPS, profile_case
from wanbench.models.flops import StageFlops, pass_flops, stage_flops, text_encoder_flops

FULL = ARCHITECTURES / "full"


def case_counts(run: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


@pytest.mark.parametrize("model", ["TI2V-5B", "I2V-A14B"])
def test_denoiser(model: str) -> None:
    with torch.device("meta"):
        transformer = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(FULL / model / "transformer"))
    frames, height, width = 3, 12, 20
    per_token = model == "TI2V-5B"
    tokens = frames * height * width // 4
    arguments = {
        "hidden_states": meta(1, transformer.config.in_channels, frames, height, width),
        "timestep": meta(1, tokens) if per_token else meta(1),
        "encoder_hidden_states": meta(1, 512, 4096),
    }
    formula = pass_flops(transformer.config, frames, height * width, per_token).all
    assert case_counts(lambda: transformer(**arguments, return_dict=False)) == formula


def test_text_encoder() -> None:
    config = AutoConfig.from_pretrained(FULL / "TI2V-5B/text_encoder")
    with torch.device("meta"):
        encoder = UMT5EncoderModel(config)
        ids = torch.zeros(1, 512, dtype=torch.long)
    assert case_counts(lambda: encoder(ids)) == text_encoder_flops(config, 512)


# The smaller ones are one tile.
@pytest.mark.parametrize("model", ["TI2V-5B", "I2V-A14B"])
@pytest.mark.parametrize("size", ["192*448", "192*256"])
def test_a_vae_whose_tiles_overlap_and_each_count_whole(model: str, size: str) -> None:
    settings = {"task": "i2v", "size": size, "unofficial_size": True, "frames": 9, "vae_tiling": True}
    case = replace(tiny_case(model, **settings), scale="full")
    with torch.device("meta"):
        vae = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(FULL / model / "vae"))
    vae.enable_tiling()
    scale = vae.config.scale_factor_spatial
    latents = meta(1, vae.config.z_dim, 3, case.height_px // scale, case.width_px // scale)
    video = meta(1, 3, 1 if model == "TI2V-5B" else 9, case.height_px, case.width_px)
    flops = stage_flops(architecture(model), case)
    assert flops.vae_decoding == case_counts(lambda: vae.decode(latents, return_dict=False))
    assert flops.vae_encoding == case_counts(lambda: vae.encode(video))


def test_a_case_counts_its_passes_and_what_it_encodes(tmp_path: Path) -> None:
    def flops(**settings: float) -> tuple[DiffusionPipeline, StageFlops]:
        case = tiny_case(**settings)
        pipe, _ = record(tmp_path, lambda clock: build_pipeline(case, CPU, clock))
        return pipe, stage_flops(pipe, case)

    pipe, guided = flops()
    # As plain products: the counter does not know the CPU's fused attention.
    pipe.transformer.set_attention_backend("_native_math")
    arguments = {
        "hidden_states": torch.zeros(1, 48, 2, 4, 4),
        "timestep": torch.zeros(1, 8),
        "encoder_hidden_states": torch.zeros(1, 512, 32),
    }
    assert guided.step == 2 * case_counts(lambda: pipe.transformer(**arguments, return_dict=False))
    _, unguided = flops(guidance=1.0)
    assert (unguided.step, unguided.text_encoding) == (guided.step / 2, guided.text_encoding / 2)
    # The tiny VAE is none of the published ones, so nothing is claimed of it.
    assert guided.vae_decoding is None


def test_mfu_is_of_the_datasheet_or_else_of_the_measured_rate_or_absent() -> None:
    def case(gpu: str | None, rate: float | None, **others: Any) -> dict[str, Any]:
        whole = {"gpu_name": gpu, "matmul_flops_per_s": rate, "dtype": "bfloat16", "vae_dtype": "float32", "gpus": 1}
        return whole | {"quantization": "none"} | others

    assert peak_of(case("NVIDIA H200", 803e12)) == (989.4e12, "datasheet")
    assert peak_of(case("Some GPU", 100e12)) == (100e12, "measured")
    assert peak_of(case("Some GPU", None)) is peak_of(case(None, None)) is None
    # 1.0413 PFLOP in 2.36 s (a TI2V-5B step on an H200).
    step, h200 = Row("Step_1_Inference", 2.36, flops=1.0413e15), case("NVIDIA H200", None)
    assert mfu_pct(step, h200) == pytest.approx(44.6, abs=0.05)
    assert mfu_pct(step, h200 | {"gpus": 2}) == pytest.approx(22.3, abs=0.05)
    others = [Row(**vars(step) | other) for other in ({"stage": "VAE_Decoding"}, {"flops": None}, {"time_s": 0.0})]
    # The peak is that of 16 bit.
    other_types = [h200 | {"dtype": "float32"}, h200 | {"quantization": "fp8_rowwise"}, case("Some GPU", None)]
    none_known = [*((row, h200) for row in others), *((step, each) for each in other_types)]
    assert [mfu_pct(*each) for each in none_known] == [None] * 6
    encoding = Row(**vars(step) | {"stage": "T5_Encoding"})
    assert mfu_pct(encoding, h200 | {"quantization": "fp8_rowwise"}) is not None


def test_a_step_and_a_decoding_are_profiled_apart() -> None:
    profile = profile_case(tiny_case(), None)
    assert profile["of"] == "operators"
    assert profile["case"]["steps"] == STEPS
    step, decoding = profile["stages"]["Step"], profile["stages"]["VAE_Decoding"]
    counts = {row["class"]: row["count"] for row in step["classes"]}
    # Two passes through six blocks, each with attention to itself and to the prompt.
    expected = {"attention": 2 * 6 * 2, "matmul": 2 * (6 * 10 + 6), "convolution": 2}
    assert expected.items() <= counts.items()
    assert "matmul" not in {row["class"] for row in decoding["classes"]}
    assert any(row["module"].startswith("up_blocks.N.resnets.N.conv") for row in decoding["longest"])
    assert all(row["flops"] is None for row in step["classes"])
    assert 0 < step["busy_s"] <= step["profiled_s"]
    assert len([event for event in profile["traceEvents"] if event["ph"] == "X"]) == sum(counts.values())
