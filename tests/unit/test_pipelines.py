"""The real diffusers pipelines at tiny scale: observed completely, and not changed by it."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from accelerate.hooks import CpuOffload
from diffusers import AutoencoderKLWan, DiffusionPipeline, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from torch import nn

from example_cases import tiny_case
from tiny import CPU, frames_of, make, observed, record, relative_error, rounding_bound, stock_frames
from wanbench.measure.spans import Recording, Stage, stages_of
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan import weight_transfers
from wanbench.measure.wan.build import ARCHITECTURES, build_pipeline
from wanbench.measure.wan.random_weights import Placement, _to_host, random_module
from wanbench.measure.wan.setup import apply_settings, modules_of, settings_in_force
from wanbench.registry import stages as stage_names
from wanbench.registry.settings import METHOD, keys

CASES = {
    "5B t2v": {"model": "TI2V-5B"},
    "5B i2v": {"model": "TI2V-5B", "task": "i2v"},
    "T2V-A14B": {"model": "T2V-A14B", "steps": 4},
    "I2V-A14B": {"model": "I2V-A14B", "steps": 4},
}


def stages(recording: Recording) -> list[Stage]:
    return stages_of(recording, ended_ns=0)


def named(recording: Recording, name: str) -> list[Any]:
    return [span for span in recording.spans.values() if span.name == name]


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_observed_output_is_bit_identical_and_every_stage_is_seen_once(settings: dict, tmp_path: Path) -> None:
    """And nothing is observed after it, which would fail."""
    case = tiny_case(**settings)
    pipe = make(case)
    unobserved = frames_of(pipe, case)
    frames, recording = observed(pipe, case, tmp_path)
    assert np.array_equal(frames, unobserved)
    assert np.array_equal(frames_of(pipe, case), unobserved)
    seen = stages(recording)
    expected = {stage_names.PREPROCESS, stage_names.TEXT_ENCODING, stage_names.VAE_DECODING, stage_names.VIDEO_EXPORT}
    expected |= {name(i) for i in range(case.steps) for name in (stage_names.step_loading, stage_names.step_inference)}
    assert sorted(stage.name for stage in seen) == sorted(expected)
    start, end = min(stage.extent[0] for stage in seen), max(stage.extent[1] for stage in seen)
    assert sum(stage.time_ns for stage in seen) == end - start
    assert {stage.time_ns for stage in seen if stage.name.endswith("_Loading")} == {0}
    assert len(named(recording, "CFG_cond")) == len(named(recording, "CFG_uncond")) == case.steps
    assert (tmp_path / "video.mp4").stat().st_size > 0
    encodings = named(recording, "VAE_Encoding")
    assert len(encodings) == (case.task == "i2v")
    assert all(recording.spans[encoding.parent].name == stage_names.PREPROCESS for encoding in encodings)


def test_the_expert_of_each_step_is_seen(tmp_path: Path) -> None:
    # 26 of 40 steps are high-noise at T2V-A14B's official shift of 12 (DESIGN section 9).
    case = tiny_case("T2V-A14B", steps=40, guidance=1.0)
    _, recording = observed(make(case), case, tmp_path)
    experts = [stage.args["expert"] for stage in stages(recording) if stage.name.endswith("_Inference")]
    assert experts == ["high_noise"] * 26 + ["low_noise"] * 14
    assert (len(named(recording, "CFG_cond")), named(recording, "CFG_uncond")) == (40, [])


@pytest.mark.parametrize(
    ("settings", "offload"),
    [(CASES["5B t2v"], "sequential"), (CASES["I2V-A14B"], "model"), (CASES["I2V-A14B"], "group")],
)
def test_offload_is_in_force_and_changes_no_bit(settings: dict, offload: str, tmp_path: Path) -> None:
    case = tiny_case(**settings, offload=offload)
    pipe = make(case)
    assert settings_in_force(pipe)["offload"] == offload
    frames, _ = observed(pipe, case, tmp_path)
    assert np.array_equal(frames, stock_frames(tiny_case(**settings)))
    assert settings_in_force(pipe)["offload"] == offload


def test_sequential_offload_loads_in_every_step(tmp_path: Path) -> None:
    case = tiny_case(offload="sequential")
    pipe = make(case)
    _, recording = observed(pipe, case, tmp_path)
    weights_bytes = sum(parameter.nbytes for parameter in pipe.transformer.parameters())
    steps = {stage.name: stage for stage in stages(recording) if "step" in stage.args}
    assert all(stage.time_ns > 0 for stage in steps.values())
    # Two guidance passes, each with all weights.
    loaded_bytes = [steps[stage_names.step_loading(i)].args["loaded_bytes"] for i in range(case.steps)]
    assert loaded_bytes == [2 * weights_bytes] * case.steps
    # The copies on the device are dropped after use: nothing goes back to the host.
    assert {transfer["direction"] for transfer in recording.transfers} == {"load"}


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Stands in for a second device in accelerate's model offload: the modules, by id, that are on it."""
    on_device: set[int] = set()

    def pre_forward(hook: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if hook.prev_module_hook is not None and id(hook.prev_module_hook.model) in on_device:
            hook.prev_module_hook.offload()
        on_device.add(id(module))
        return args, kwargs

    def init_hook(hook: Any, module: nn.Module) -> nn.Module:
        on_device.discard(id(module))
        return module

    monkeypatch.setattr(CpuOffload, "pre_forward", pre_forward)
    monkeypatch.setattr(CpuOffload, "init_hook", init_hook)
    # The pipeline itself takes off the device what is left on it, before it hooks its modules anew.
    monkeypatch.setattr(DiffusionPipeline, "to", lambda pipe, *_, **__: on_device.clear())
    monkeypatch.setattr(weight_transfers, "_model_will_load", lambda hook, module: id(module) not in on_device)
    monkeypatch.setattr(weight_transfers, "_model_will_offload", lambda hook, module: id(module) in on_device)
    return on_device


def test_model_offload_loads_each_expert_in_the_step_that_needs_it(tmp_path: Path, on_device: set[int]) -> None:
    case = tiny_case("T2V-A14B", steps=4, offload="model")
    pipe = make(case)
    _, recording = observed(pipe, case, tmp_path)
    loads = {stage.name: stage.args.get("transfers", 0) for stage in stages(recording)}
    # The text encoder leaves in step 0, the first expert at the switch, the second in decoding. The VAE leaves at the
    # end with no hook of its own, in the detail Offload_All.
    expected = {stage_names.TEXT_ENCODING: 1, "Step_0_Loading": 2, "Step_3_Loading": 2, stage_names.VAE_DECODING: 2}
    assert loads == dict.fromkeys(loads, 0) | expected
    assert not on_device
    switch = next(stage for stage in stages(recording) if stage.name == "Step_3_Loading")
    expert_bytes = sum(parameter.nbytes for parameter in pipe.transformer.parameters())
    assert switch.args["loaded_bytes"] == switch.args["offloaded_bytes"] == expert_bytes


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the weights of the tiny case."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoint"
    make(tiny_case()).save_pretrained(folder)
    return str(folder)


def test_a_saved_checkpoint_gives_the_same_video(tmp_path: Path, checkpoint: str) -> None:
    case = tiny_case()
    from_disk = tiny_case(weights="pretrained", checkpoint=checkpoint)
    loaded, recording = record(tmp_path, lambda clock: build_pipeline(from_disk, CPU, clock))
    assert isinstance(loaded, WanPipeline)
    assert {"Initialize_transformer", "Initialize_vae"} <= {span.name for span in recording.spans.values()}
    apply_settings(loaded, from_disk, CPU)
    frames = frames_of(loaded, from_disk)
    # Memory-mapped weights are aligned differently, so kernels may add in another order.
    assert relative_error(frames, stock_frames(case)) <= rounding_bound(case)


def weights(**settings: Any) -> dict[str, torch.Tensor]:
    parts = modules_of(make(tiny_case(**settings)))
    return {f"{name}.{path}": tensor for name, part in parts.items() for path, tensor in part.state_dict().items()}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_random_weights_have_the_types_that_a_checkpoint_would_have(checkpoint: str, dtype: str) -> None:
    def types(**settings: Any) -> dict[str, torch.dtype]:
        return {name: tensor.dtype for name, tensor in weights(dtype=dtype, **settings).items()}

    made = types()
    assert made == types(weights="pretrained", checkpoint=checkpoint)
    in_float32 = [name for name in made if name.startswith("text_encoder") and made[name] == torch.float32]
    assert bool(in_float32) == (dtype != "bfloat16")
    # A 5B checkpoint also serves image-to-video.
    of_image = make(tiny_case(task="i2v", weights="pretrained", checkpoint=checkpoint, dtype=dtype))
    assert isinstance(of_image, WanImageToVideoPipeline)
    in_force = settings_in_force(of_image)
    assert (in_force["dtype"], in_force["vae_dtype"]) == (dtype, "float32")


def test_a_hub_id_is_loaded_at_its_pinned_revision_and_only_from_safetensors(monkeypatch: pytest.MonkeyPatch) -> None:
    from_pretrained = Mock(return_value=make(tiny_case()))
    monkeypatch.setattr(WanPipeline, "from_pretrained", from_pretrained)
    build_pipeline(tiny_case(weights="pretrained"), CPU, StageClock.silent())
    assert from_pretrained.call_args.args == ("Wan-AI/Wan2.2-TI2V-5B-Diffusers",)
    expected = {"revision": "b8fff7315c768468a5333511427288870b2e9635", "use_safetensors": True}
    assert from_pretrained.call_args.kwargs.items() >= (expected | {"trust_remote_code": False}).items()


def test_settings_are_applied_and_all_of_how_a_video_is_made_is_read_back() -> None:
    case = tiny_case("T2V-A14B", vae_tiling=True, attention="_native_math", vae_dtype="bfloat16", shift=4.0)
    pipe = make(case)
    in_force = settings_in_force(pipe)
    assert in_force == {key: case.settings()[key] for key in (*keys(METHOD), "shift", "lora_weight")}
    pipe.transformer_2.set_attention_backend("native")
    assert settings_in_force(pipe)["attention"] == "_native_math/native"


def test_weights_that_go_to_the_host_in_pieces_are_the_same_bit_for_bit() -> None:
    for drawn in (torch.randn(7, 5).to(torch.bfloat16), torch.randn(()).to(torch.bfloat16)):
        assert torch.equal(_to_host(drawn, torch.empty(16, dtype=torch.uint8)), drawn)


def test_random_weights_depend_on_the_seed_alone() -> None:
    one, again, other = weights(), weights(), weights(seed=1)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    assert all(torch.isfinite(value).all() for value in one.values())
    # The embedding is held once: twice, it would add 2.1 GB at full scale.
    encoder = make(tiny_case()).text_encoder
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight
    assert torch.count_nonzero(encoder.shared.weight) > 0


def test_random_weights_are_drawn_in_one_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one for each parameter, torch's allocator kept 9 GB more of an A14B, and that is told as used."""
    drawn_in, empty = [], torch.empty

    def seen(shape: Any, **options: Any) -> torch.Tensor:
        tensor = empty(shape, **options)
        drawn_in.append(shape)
        return tensor

    monkeypatch.setattr(torch, "empty", seen)
    monkeypatch.setattr(torch, "empty_like", Mock(side_effect=AssertionError("not in the buffer")))
    module = random_module(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)), Placement(CPU, CPU), torch.bfloat16, (), 1
    )
    assert drawn_in.count(2**24) == 1
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_random_weights_of_another_type_are_the_same_rounded() -> None:
    whole, rounded = (
        make(tiny_case("T2V-A14B", dtype=dtype, vae_dtype=dtype)).components for dtype in ("float32", "bfloat16")
    )
    for name in ("transformer", "transformer_2", "text_encoder", "vae"):
        assert rounded[name].dtype == torch.bfloat16
        for one, other in zip(whole[name].parameters(), rounded[name].parameters(), strict=True):
            assert torch.equal(one.to(other.dtype), other)


def test_full_scale_architectures_have_the_published_numbers_of_parameters() -> None:
    # From the sizes of the published files (DESIGN section 9).
    published = {"TI2V-5B": (4_999_787_712, 704_688_668), "T2V-A14B": (14_288_491_584, 126_892_531)}
    for model, counts in published.items():
        folder = ARCHITECTURES / "full" / model
        with init_empty_weights():
            transformer = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(folder / "transformer"))
            vae = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(folder / "vae"))
        assert tuple(sum(p.numel() for p in module.parameters()) for module in (transformer, vae)) == counts
