"""Make the pipeline of a case, with random weights or from a checkpoint; or a checkpoint of random weights."""

import importlib
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import diffusers.pipelines.pipeline_utils as pipeline_utils
import torch
from diffusers import DiffusionPipeline, UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline
from transformers import AutoConfig

from wanbench.cases.case import Case
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.random_weights import Placement, letter_tokenizer, random_module
from wanbench.models.facts import ARCHITECTURES, MODELS
from wanbench.util.paths import named_path

_PIPELINES = {"t2v": WanPipeline, "i2v": WanImageToVideoPipeline}
# As the files on the hub are stored (DESIGN section 9 counts their bytes).
_STORED_AS = {"text_encoder": torch.bfloat16, "default": torch.float32}


def build_pipeline(case: Case, device: torch.device, clock: StageClock) -> DiffusionPipeline:
    """The pipeline with the case's weights and shift; with offload its weights are on the host, else on `device`."""
    keep_on = device if case.offload == "none" else torch.device("cpu")
    dtypes = {"vae": getattr(torch, case.vae_dtype), "default": getattr(torch, case.dtype)}
    if case.weights == "random":
        where = Placement(device, keep_on)
        pipe = _random_pipeline(case.model, str(case.scale), case.task, dtypes, where, case.seed, clock)
    else:
        pipe = _pretrained(case, dtypes, keep_on, clock)
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config, flow_shift=case.shift)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def write_checkpoint(model: str, scale: str, folder: Path) -> None:
    """Write a checkpoint of random weights in layout and data types of the published one, to measure its loading.

    Needs the size of the weights (34 GB for TI2V-5B at full scale, 126 GB for an A14B) on disk, and in the memory of
    the GPU if there is one, else of the host.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where, task = Placement(device, device), MODELS[model].tasks[0]
    pipe = _random_pipeline(model, scale, task, _STORED_AS, where, 42, StageClock.silent())
    pipe.save_pretrained(folder, safe_serialization=True)


def _random_pipeline(
    model: str,
    scale: str,
    task: str,
    dtypes: dict[str, torch.dtype],
    where: Placement,
    seed: int,
    clock: StageClock,
) -> DiffusionPipeline:
    """A pipeline with random weights, shift and all else as in the model's checkpoint.

    Args:
        dtypes: of components by name, and of the others under "default".
    """
    folder = ARCHITECTURES / scale / model
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    parts: dict[str, Any] = {key: index[key] for key in ("boundary_ratio", "expand_timesteps")}
    components = {name: entry for name, entry in index.items() if isinstance(entry, list)}
    for number, (name, (library, class_name)) in enumerate(components.items()):
        if class_name is None:
            parts[name] = None
            continue
        with clock.span(f"Initialize_{name}", "detail"):
            cls = getattr(importlib.import_module(library), class_name)
            dtype = dtypes.get(name, dtypes["default"])
            parts[name] = _random_component(cls, folder / name, where, dtype, seed + number)
    if task == "i2v":
        parts |= {"image_encoder": None, "image_processor": None}
    return _PIPELINES[task](**parts)


def _random_component(cls: Any, folder: Path, where: Placement, dtype: torch.dtype, seed: int) -> Any:
    if "Tokenizer" in cls.__name__:
        return letter_tokenizer()
    if "Scheduler" in cls.__name__:
        return cls.from_config(cls.load_config(folder))
    if cls.__module__.startswith("transformers."):
        config = AutoConfig.from_pretrained(folder)
        # As transformers does it, which keeps these in float32 in float16 alone; diffusers does so always.
        keep_fp32 = cls._keep_in_fp32_modules if dtype == torch.float16 else None
        return random_module(lambda: cls(config), where, dtype, keep_fp32 or (), seed)
    config = cls.load_config(folder)
    return random_module(lambda: cls.from_config(config), where, dtype, cls._keep_in_fp32_modules or (), seed)


def _pretrained(
    case: Case, dtypes: dict[str, torch.dtype], keep_on: torch.device, clock: StageClock
) -> DiffusionPipeline:
    source, load = named_path(str(case.checkpoint)), pipeline_utils.load_sub_model

    def timed(*args: Any, **kwargs: Any) -> Any:
        with clock.span(f"Initialize_{kwargs.get('name', 'component')}", "detail"):
            return load(*args, **kwargs)

    with patch.object(pipeline_utils, "load_sub_model", timed):
        return _PIPELINES[case.task].from_pretrained(
            source if source.is_dir() else case.checkpoint,
            revision=case.revision,
            dtype=dtypes,
            # Each tensor goes from the file to its device, not first to a host copy of the whole model.
            device_map=None if keep_on.type == "cpu" else keep_on.type,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=source.is_dir(),
        )
