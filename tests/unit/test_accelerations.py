"""Compilation, cache and attention backends: applied, read back, and kept apart from the steps that they serve."""

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor.exc import InvalidCxxCompiler
from torch.nn.attention import SDPBackend, sdpa_kernel

from checkpoints import write_hollow_checkpoint
from conftest import ROOT
from example_cases import tiny_case
from tiny import CPU, frames_of, make, observed, relative_error, rounding_bound, stock_frames
from wanbench.measure.spans import Recording, Stage, stages_of
from wanbench.measure.wan import hindrances, ran, setup
from wanbench.measure.wan.hindrances import SettingError, check_possible
from wanbench.measure.wan.ran import attention_kernel, what_ran
from wanbench.measure.wan.setup import check_in_force, settings_in_force, settings_of_output
from wanbench.models.flops import stage_flops
from wanbench.registry import stages as stage_names

CUDA = torch.device("cuda")


def by_name(recording: Recording, generation: int = 0) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages_of(recording, 0) if stage.generation == generation}


@pytest.fixture
def asked_to_compile(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """How modules were asked to be compiled. They are traced as for Inductor, and run as they are.

    Inductor would take half a minute of a core, and what it makes depends on the CPU.
    """
    asked: list[dict] = []
    compiled = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda module, **how: asked.append(how) or compiled(module, **how | {"backend": "eager"})
    )
    torch.compiler.reset()
    yield asked
    torch.compiler.reset()
    counters.clear()


def test_compilation_is_a_stage_and_no_part_of_a_step(tmp_path: Path, asked_to_compile: list[dict]) -> None:
    # With both experts, of which the second is first called in the last step.
    expected = stock_frames(tiny_case("T2V-A14B", steps=4))
    case = tiny_case("T2V-A14B", steps=4, compile="repeated_blocks")
    pipe = make(case)
    # By torch's default, which is Inductor, and each block of both experts alone.
    assert not any("backend" in how for how in asked_to_compile)
    assert len(asked_to_compile) == len(pipe.transformer.blocks) + len(pipe.transformer_2.blocks)
    frames, recording = observed(pipe, case, tmp_path, generations=2)
    assert relative_error(frames, expected) <= rounding_bound(case)
    first, second = by_name(recording), by_name(recording, generation=1)
    spans = [span for span in recording.spans.values() if span.name == stage_names.COMPILATION]
    compiled_ns = sum(span.end_ns - span.start_ns for span in spans)
    assert first[stage_names.COMPILATION].time_ns == compiled_ns > 0
    step = next(span for span in recording.spans.values() if span.name == "Step_0")
    inside_ns = sum(span.end_ns - span.start_ns for span in spans if step.start_ns < span.start_ns < step.end_ns)
    assert inside_ns > 0
    assert first["Step_0_Inference"].time_ns == step.end_ns - step.start_ns - inside_ns
    assert stage_names.COMPILATION not in second
    check_in_force(settings_of_output(pipe, frames), case)
    assert what_ran(pipe, case)["compiled_frames"] > 0
    pipe.transformer.blocks[0]._compiled_call_impl = None
    assert settings_in_force(pipe)["compile"] == "11 of 12 blocks"


def test_what_fell_back_to_python_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with TORCHDYNAMO_SUPPRESS_ERRORS, where a compiler fails; the blocks are marked all the same."""
    case = tiny_case(compile="repeated_blocks")
    pipe = make(case)
    monkeypatch.setattr(setup, "compiled_frames", lambda: 0)
    with torch.compiler.set_stance("force_eager"):
        frames = frames_of(pipe, case)
    with pytest.raises(SettingError, match="compile: 'repeated_blocks' was asked for, and 'none' is in force"):
        check_in_force(settings_in_force(pipe) | settings_of_output(pipe, frames), case)


def test_what_was_compiled_in_part_is_not_compiled(asked_to_compile: list[dict]) -> None:
    """As with a cache, which needs graphs to break: without, torch ends the case where it reaches its limit."""

    class Counting(nn.Module):
        count = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.count

    case = tiny_case(compile="repeated_blocks", cache="first_block", cache_threshold=0.01)
    pipe = make(case)
    frames = frames_of(pipe, case)
    in_force = settings_in_force(pipe)
    assert "compile" not in settings_of_output(pipe, frames)
    counting = Counting()
    counting.compile()
    with torch._dynamo.config.patch(recompile_limit=1):
        for counting.count in range(3):
            counting(torch.ones(1))
    with pytest.raises(SettingError, match="and 'a part, until torch reached its recompile_limit' is in force"):
        check_in_force(in_force | settings_of_output(pipe, frames), case)


COMPILED = {"compile": "repeated_blocks"}


@pytest.mark.parametrize(
    ("name", "value", "settings", "device", "message"),
    [
        *((name, "1", COMPILED, CPU, f"{name}=1") for name in ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")),
        *(
            ("TORCHINDUCTOR_CACHE_DIR", f"/srv/{folder}/compiled_0", COMPILED, CPU, r"C\+\+ compiler no path")
            for folder in ("my project", "it's", 'a"b', "a\\b")
        ),
        ("PYTORCH_NO_CUDA_MEMORY_CACHING", "0", {}, CUDA, "PYTORCH_NO_CUDA_MEMORY_CACHING is set"),
        ("IMAGEIO_FFMPEG_EXE", "/absent", {}, CPU, "ffmpeg does not run here .*IMAGEIO_FFMPEG_EXE"),
    ],
)
def test_an_environment_that_spoils_a_case_is_refused_before_any_weights(
    name: str, value: str, settings: dict, device: torch.device, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = tiny_case(**settings)
    check_possible(case, device)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=message):
        check_possible(case, device)


def test_an_environment_that_spoils_other_cases_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/srv/é,:$/compiled_0")
    check_possible(tiny_case(**COMPILED), CPU)
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    monkeypatch.setenv("PYTORCH_NO_CUDA_MEMORY_CACHING", "0")
    check_possible(tiny_case(), CPU)


def test_compilation_without_a_compiler_is_refused_before_any_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hindrances, "get_cpp_compiler", Mock(side_effect=InvalidCxxCompiler))
    monkeypatch.setattr("shutil.which", lambda name: None)
    for device, compiler in ((CPU, r"C\+\+ compiler"), (CUDA, "C compiler")):
        check_possible(tiny_case(), device)
        with pytest.raises(SettingError, match=f"compile: repeated_blocks needs a {compiler}"):
            check_possible(tiny_case(compile="repeated_blocks"), device)


def test_the_kernel_of_attention_is_the_one_that_torch_chooses() -> None:
    case = tiny_case()
    pipe = make(case)
    assert attention_kernel(pipe, case) in ("flash", "math")
    with sdpa_kernel(SDPBackend.MATH):
        assert attention_kernel(pipe, case) == "math"
    assert attention_kernel(pipe, tiny_case(attention="_native_efficient")) == "efficient"
    assert attention_kernel(pipe, tiny_case(attention="flex")) is None


def test_the_kernel_of_attention_is_the_one_that_xformers_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    fmha = Mock()
    monkeypatch.setitem(sys.modules, "xformers.ops.fmha", fmha)
    case = tiny_case(attention="xformers")
    pipe = make(tiny_case())
    monkeypatch.setattr(ran, "version", lambda package: "0.0.35")
    assert attention_kernel(pipe, case) is None
    monkeypatch.setattr(ran, "version", lambda package: "0.0.34")
    # As xformers 0.0.34 names them on an H200.
    names = {"fa3F@0.0.0": "flash_3", "fa2F@2.5.7-pt": "flash_2", "cutlassF-pt": "cutlass", "newF": None}
    for fmha.dispatch._dispatch_fw.return_value.NAME, kernel in names.items():
        assert attention_kernel(pipe, case) == kernel
    query, config = fmha.Inputs.call_args.args[0], pipe.transformer.config
    assert query.shape == (1, 8, config.num_attention_heads, config.attention_head_dim)


def test_the_length_of_prompts_and_whether_guidance_is_on_are_those_of_the_pipeline() -> None:
    case = tiny_case(prompt="a" * 600, guidance=1.0)
    pipe = make(case)
    frames_of(pipe, case)
    ran = what_ran(pipe, case)
    assert ran["prompt_tokens"] > 600
    assert (ran["guidance_on"], ran["negative_prompt_tokens"]) == (False, None)


def test_the_cache_is_in_force_and_the_passes_that_it_saves_are_counted(tmp_path: Path) -> None:
    case = tiny_case("T2V-A14B", steps=6, cache="first_block", cache_threshold=1e6)
    pipe = make(case)
    assert (settings_in_force(pipe)["cache"], settings_in_force(pipe)["cache_threshold"]) == ("first_block", 1e6)
    _, recording = observed(pipe, case, tmp_path)
    stages = by_name(recording)
    switch = next(i for i in range(1, 6) if stages[f"Step_{i}_Inference"].args["expert"] == "low_noise")
    reused = [stages[f"Step_{i}_Inference"].args["passes_reused"] for i in range(6)]
    # Whatever an expert computes first cannot be reused, and after that this threshold lets everything be.
    assert reused == [0 if i in (0, switch) else 2 for i in range(6)]
    assert stage_flops(pipe, case).step is None


def test_a_backend_whose_package_is_missing_is_refused_before_any_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hindrances, "version_of", lambda package: None)
    with pytest.raises(SettingError, match="attention: sage needs the package sageattention, which is not installed"):
        check_possible(tiny_case(attention="sage"), CPU)
    check_possible(tiny_case(attention="_native_flash"), CPU)
    monkeypatch.setattr(hindrances, "version_of", lambda package: "1.0")
    check_possible(tiny_case(attention="sage"), CPU)


def test_what_needs_a_gpu_is_refused_without_one(tmp_path: Path) -> None:
    hollow = str(write_hollow_checkpoint(tmp_path / "checkpoint", transformer_bytes=10**10))
    for settings, message in (
        ({"offload": "group_stream"}, "offload: group_stream needs a GPU"),
        ({"matmul_tf32": True}, "matmul_tf32: true needs a GPU"),
        ({"gpu_memory_gb": 24}, "gpu_memory_gb: 24 needs a GPU"),
        ({"scale": "full", "size": "1280*704"}, "scale: full needs a GPU"),
        ({"weights": "pretrained"}, "checkpoint: Wan-AI/Wan2.2-TI2V-5B-Diffusers is of full scale, and needs a GPU"),
        ({"weights": "pretrained", "checkpoint": hollow}, f"checkpoint: {hollow} is of full scale, and needs a GPU"),
    ):
        with pytest.raises(SettingError, match=message):
            check_possible(tiny_case(**settings), CPU)
        check_possible(tiny_case(**settings), CUDA)
    with pytest.raises(SettingError, match="fp8_rowwise needs a GPU with FP8"):
        check_possible(tiny_case(quantization="fp8_rowwise", dtype="bfloat16"), CPU)


def test_the_version_whose_internal_is_read_is_the_one_that_is_installed() -> None:
    assert f"xformers=={ran._XFORMERS};" in (ROOT / "requirements-fast.txt").read_text("utf-8")
