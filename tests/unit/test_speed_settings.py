"""Settings that make steps and decoding faster or smaller: applied, read back, and what they do to the video."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import numpy as np
import psutil
import pytest
import torch
from diffusers import WanPipeline
from peft import LoraConfig, get_peft_model_state_dict

from conftest import ROOT
from example_cases import tiny_case
from tiny import CPU, frames_of, make, relative_error, rounding_bound, stock_frames
from wanbench.cases.case import Case, case_sha256
from wanbench.cases.resolve import resolve_cases
from wanbench.measure.wan import hindrances
from wanbench.measure.wan.hindrances import SettingError, check_possible
from wanbench.measure.wan.quantize import config_of
from wanbench.measure.wan.setup import settings_in_force
from wanbench.models.flops import stage_flops
from wanbench.util.digests import sha256_of_file
from wanbench.util.errors import InputError

INT8 = {"quantization": "int8_rowwise", "dtype": "bfloat16"}


@pytest.mark.parametrize(
    "settings",
    [{"timesteps": "uniform", "offload": "sequential"}, {"vae_memory_format": "channels_last", "offload": "model"}],
)
def test_it_is_in_force_and_changes_only_rounding(settings: dict) -> None:
    case = tiny_case(**settings)
    pipe = make(case)
    frames = frames_of(pipe, case)
    assert settings.items() <= settings_in_force(pipe).items()
    assert relative_error(frames, stock_frames(tiny_case())) <= rounding_bound(case)


def test_one_timestep_saves_its_operations() -> None:
    cases = [tiny_case(timesteps=value) for value in ("per_token", "uniform")]
    pipes = [make(case) for case in cases]
    per_token, uniform = (stage_flops(pipe, case).step for pipe, case in zip(pipes, cases))
    config = pipes[0].transformer.config
    width = config.num_attention_heads * config.attention_head_dim
    tokens = 2 * 2 * 2
    assert per_token - uniform == 2 * (tokens - 1) * 2 * (config.freq_dim * width + 7 * width**2)


def test_a_grid_passes_over_a_setting_that_a_model_does_not_have() -> None:
    axes = {"model": ["TI2V-5B", "T2V-A14B"], "timesteps": ["per_token", "uniform"]}
    cases = resolve_cases({"grid": {"name": "{model}_{timesteps}", "axes": axes}}, "g")
    assert [case.timesteps for case in cases] == ["per_token", "uniform", None]
    fixed = {"name": "{model}", "axes": {"model": axes["model"]}, "set": {"timesteps": "uniform"}}
    assert [case.timesteps for case in resolve_cases({"grid": fixed}, "g")] == ["uniform", None]


def test_a_layout_of_some_convolutions_is_not_what_was_asked_for() -> None:
    pipe = make(tiny_case(vae_memory_format="channels_last"))
    pipe.vae.decoder.conv_in.to(memory_format=torch.contiguous_format)
    assert re.fullmatch(r"channels_last in \d+ of \d+ convolutions", settings_in_force(pipe)["vae_memory_format"])


def linear_weights(pipe: Any) -> dict[str, torch.Tensor]:
    parts = pipe.transformer.blocks.named_modules()
    return {name: part.weight for name, part in parts if isinstance(part, torch.nn.Linear)}


def test_int8_weights_are_within_half_a_step_of_what_they_stand_for() -> None:
    case = tiny_case(**INT8)
    pipe = make(case)
    expected, weights = linear_weights(make(tiny_case(dtype="bfloat16"))), linear_weights(pipe)
    assert len(weights) == len(expected) > 0
    for name, weight in weights.items():
        value = expected[name].float()
        step = value.abs().amax(dim=1, keepdim=True) / 127
        # The scale is kept in bfloat16, of 8 significant bits, and so is the product.
        assert ((weight.dequantize().float() - value).abs() <= step / 2 + value.abs() * 2**-7).all(), name
    assert settings_in_force(pipe)["quantization"] == "int8_rowwise"
    assert np.isfinite(frames_of(pipe, case)).all()
    pipe.transformer.blocks[0].ffn.net[2].weight = torch.nn.Parameter(expected["0.ffn.net.2"])
    assert settings_in_force(pipe)["quantization"] == "int8_rowwise in 59 of 60 layers"


def test_rows_of_zeros_stay_zeros_in_float8() -> None:
    """Without a least value they became NaN: an H200 made a video of them."""
    from torchao.quantization import Float8Tensor

    config = config_of("fp8_rowwise")
    rows = torch.tensor([[1.0, -3.0], [0.0, 0.0]], dtype=torch.bfloat16)
    quantized = Float8Tensor.from_hp(rows, granularity=config.granularity[0], hp_value_lb=config.activation_value_lb)
    assert torch.equal(quantized.dequantize()[1], torch.zeros(2, dtype=torch.bfloat16))


@pytest.mark.parametrize("offload", ["none", "group"])
def test_weights_that_wait_as_float8_are_its_nearest_values(offload: str) -> None:
    case = tiny_case(layerwise_casting="float8_e4m3fn", offload=offload)
    pipe = make(case)
    asked = {"layerwise_casting": "float8_e4m3fn", "dtype": "float32", "offload": offload}
    assert settings_in_force(pipe).items() >= asked.items()
    expected = linear_weights(make(tiny_case()))
    for name, weight in linear_weights(pipe).items():
        # Three bits behind the point, and 2**-9 the least number.
        assert ((weight.float() - expected[name]).abs() <= expected[name].abs() * 2**-4 + 2**-10).all(), name
    assert np.isfinite(frames_of(pipe, case)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vae_memory_format": "channels_last", "offload": "group"}, "none, model with vae_memory_format: channels_l"),
        ({"quantization": "int8_rowwise"}, "allowed: bfloat16 with quantization: int8_rowwise"),
        (INT8 | {"offload": "group"}, "allowed: none, model with quantization: int8_rowwise"),
        ({"layerwise_casting": "float8_e4m3fn", "compile": "repeated_blocks"}, "none with compile: repeated_blocks"),
        ({"compile": "repeated_blocks", "offload": "sequential"}, "allowed: none, model with compile: repeated_blocks"),
        ({"task": "i2v", "timesteps": "uniform"}, "timesteps: .*; allowed: only with model: TI2V-5B and task: t2v"),
        ({"cache_threshold": 0.1}, r"cache_threshold: 0\.1 has no effect here; .*cache: first_block"),
        ({"lora_weight": 0.5}, "lora_weight: 0.5 has no effect here; allowed: with lora"),
        ({"lora": "absent.safetensors"}, r"lora: \"absent.safetensors\" .*absent.safetensors cannot be read"),
        ({"lora": "weights.bin"}, "lora: .*path of a .safetensors file"),
        ({"gpus": 2, "attention": "flex"}, 'attention: "flex" is not allowed; allowed: native, .* with gpus: 2'),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^tiny: case 'tiny': .*{message}"):
        tiny_case(**settings)


def test_an_xformers_that_cannot_be_loaded_says_why_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hindrances, "version_of", lambda package: "0.0.34")
    monkeypatch.setattr(hindrances, "import_module", Mock(side_effect=OSError("libcudart.so.12: cannot open")))
    with pytest.raises(SettingError, match=r"libcudart.so.12: cannot open.*requirements-fast.txt"):
        check_possible(tiny_case(attention="xformers"), CPU)


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of the self-attention of all blocks whose effect is not zero, as the stock pipeline saves it."""
    folder = tmp_path_factory.mktemp("lora")
    torch.manual_seed(0)
    transformer = make(tiny_case()).transformer
    targets = ["attn1.to_q", "attn1.to_v"]
    transformer.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=targets, init_lora_weights=False))
    WanPipeline.save_lora_weights(folder, transformer_lora_layers=get_peft_model_state_dict(transformer))
    (file,) = folder.glob("*.safetensors")
    return file


def test_a_lora_changes_the_video_by_its_weight(lora: Path) -> None:
    errors = []
    for weight in (0.5, 1.0):
        case = tiny_case(lora=str(lora), lora_weight=weight)
        pipe = make(case)
        assert settings_in_force(pipe)["lora_weight"] == weight
        errors.append(relative_error(frames_of(pipe, case), stock_frames(tiny_case())))
    assert rounding_bound(tiny_case()) < errors[0] < errors[1]
    # Told from others by its content.
    assert case.lora_sha256 == sha256_of_file(lora)


def test_a_lora_of_the_hub_is_loaded_at_its_commit(lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, cached = "0" * 39 + "1", tmp_path / "hub/models--someone--fast/snapshots"
    for at in (commit, "2" * 40):
        (cached / at / "high").mkdir(parents=True)
    # What a commit is found by in the hub's cache, so that nothing is downloaded.
    shutil.copy(lora, cached / commit / "high/four_steps.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def case(commit: str) -> Case:
        return tiny_case(lora=f"someone/fast/high/four_steps.safetensors@{commit}")

    assert list(make(case(commit)).transformer.peft_config) == ["lora"]
    assert case_sha256(case(commit)) != case_sha256(case("2" * 40))
    with pytest.raises(ValueError, match=r"lora: someone/fast/high/four_steps.safetensors@2+ "):
        make(case("2" * 40))


def test_each_expert_has_a_lora_of_its_own(lora: Path) -> None:
    pipe = make(tiny_case("T2V-A14B", lora_low_noise=str(lora)))
    assert not hasattr(pipe.transformer, "peft_config")
    assert list(pipe.transformer_2.peft_config) == ["lora_low_noise"]


def test_a_lora_of_another_model_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"transformer.other.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"lora: .*other\.safetensors does not fit this denoiser"):
        make(tiny_case(lora=str(tmp_path / "other.safetensors")))
    wide = {f"transformer.blocks.{i}.attn1.to_q.lora_A.weight": torch.zeros(2, 8) for i in range(6)}
    wide |= {name.replace("lora_A", "lora_B"): torch.zeros(8, 2) for name in wide}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(ValueError, match=r"wide\.safetensors does not fit this denoiser: .*size mismatch") as error:
        make(tiny_case(lora=str(tmp_path / "wide.safetensors")))
    assert len(str(error.value)) < 1500


def test_cuda_12s_runtime_is_loaded_where_xformers_is_installed(tmp_path: Path) -> None:
    runtime = tmp_path / "nvidia/cuda_runtime/lib/libcudart.so.12"
    runtime.parent.mkdir(parents=True)
    # Any library, found as that one is.
    shutil.copy(psutil._psplatform.cext.__file__, runtime)
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import wanbench.measure.wan; "
        "print('libcudart.so.12' in open('/proc/self/maps').read())"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(ROOT / "workflow/scripts")]

    def loaded() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert loaded() == "False"
    (tmp_path / "xformers").mkdir()
    (tmp_path / "xformers/__init__.py").touch()
    assert loaded() == "True"


def test_pip_and_conda_install_the_same_for_the_fastest_settings() -> None:
    def pins(file: str) -> set[str]:
        return set(re.findall(r"[\w-]+==[\w.]+", (ROOT / file).read_text("utf-8")))

    pinned = pins("requirements-fast.txt")
    assert {pin.split("==")[0] for pin in pinned} == {"xformers", "nvidia-cuda-runtime-cu12", "torchao"}
    assert pins("envs/measure.post-deploy.sh") == pinned
