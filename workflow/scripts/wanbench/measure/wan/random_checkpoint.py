"""A checkpoint of random weights in the layout of the published ones, to measure loading without a download."""

from contextlib import nullcontext
from pathlib import Path

import torch

from wanbench.measure.wan.build import random_pipeline
from wanbench.measure.wan.random_weights import Placement
from wanbench.models.facts import MODELS

# As the files on the hub are stored (DESIGN section 9 counts their bytes).
_STORED_AS = {"text_encoder": torch.bfloat16, "default": torch.float32}


def write_checkpoint(model: str, scale: str, folder: Path) -> None:
    """Write a pipeline's folder: safetensors files in the data types of the published checkpoint.

    Needs the size of the weights (34 GB for TI2V-5B at full scale, 126 GB for an A14B) on disk, and in the memory of
    the GPU if there is one, else of the host.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = Placement(device, device)
    pipe = random_pipeline(model, scale, MODELS[model].tasks[0], _STORED_AS, where, 42, lambda component: nullcontext())
    pipe.save_pretrained(folder, safe_serialization=True)
