"""Make the pipeline of a case, with random weights or from a checkpoint."""

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers.pipelines.pipeline_utils as pipeline_utils
import torch
from diffusers import DiffusionPipeline, UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline
from transformers import AutoConfig

from wanbench.cases.case import Case
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.random_weights import random_module
from wanbench.measure.wan.tokenizer import letter_tokenizer

ARCHITECTURES = Path(__file__).parent / "architectures"
_PIPELINES = {"t2v": WanPipeline, "i2v": WanImageToVideoPipeline}


def build_pipeline(case: Case, device: torch.device, clock: StageClock) -> DiffusionPipeline:
    """The pipeline with the case's weights and shift, not yet placed on a device for running.

    With offload the weights are made where offload keeps them, on the host.
    """
    if case.weights == "random":
        pipe = _random(case, device if case.offload == "none" else torch.device("cpu"), clock)
    else:
        pipe = _pretrained(case, clock)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config, flow_shift=case.shift)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _random(case: Case, device: torch.device, clock: StageClock) -> DiffusionPipeline:
    folder = ARCHITECTURES / str(case.scale) / case.model
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    parts: dict[str, Any] = {key: index[key] for key in ("boundary_ratio", "expand_timesteps")}
    components = {name: entry for name, entry in index.items() if isinstance(entry, list)}
    for seed, (name, (library, class_name)) in enumerate(components.items()):
        if class_name is None:
            parts[name] = None
            continue
        with clock.span(f"Initialize_{name}", "detail"):
            cls = getattr(importlib.import_module(library), class_name)
            dtype = getattr(torch, case.vae_dtype if name == "vae" else case.dtype)
            parts[name] = _random_component(cls, folder / name, device, dtype, case.seed + seed)
    if case.task == "i2v":
        parts |= {"image_encoder": None, "image_processor": None}
    return _PIPELINES[case.task](**parts)


def _random_component(cls: Any, folder: Path, device: torch.device, dtype: torch.dtype, seed: int) -> Any:
    if "Tokenizer" in cls.__name__:
        return letter_tokenizer()
    if "Scheduler" in cls.__name__:
        return cls.from_config(cls.load_config(folder))
    if cls.__module__.startswith("transformers."):
        config = AutoConfig.from_pretrained(folder)
        return random_module(lambda: cls(config), device, dtype, (), seed)
    config = cls.load_config(folder)
    return random_module(lambda: cls.from_config(config), device, dtype, cls._keep_in_fp32_modules or (), seed)


def _pretrained(case: Case, clock: StageClock) -> DiffusionPipeline:
    dtypes = {"vae": getattr(torch, case.vae_dtype), "default": getattr(torch, case.dtype)}
    source = Path(str(case.checkpoint)).expanduser()
    with _components_as_details(clock):
        return _PIPELINES[case.task].from_pretrained(
            source if source.is_dir() else case.checkpoint,
            revision=case.revision,
            dtype=dtypes,
            use_safetensors=True,
            local_files_only=source.is_dir(),
        )


@contextmanager
def _components_as_details(clock: StageClock) -> Iterator[None]:
    """Show how long `from_pretrained` takes for each component."""
    load = pipeline_utils.load_sub_model

    def timed(*args: Any, **kwargs: Any) -> Any:
        with clock.span(f"Initialize_{kwargs.get('name', 'component')}", "detail"):
            return load(*args, **kwargs)

    pipeline_utils.load_sub_model = timed
    try:
        yield
    finally:
        pipeline_utils.load_sub_model = load
