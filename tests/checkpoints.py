"""Checkpoint folders that are whole by the heads of their files, and hold nothing but zeros. Needs no torch."""

import json
import shutil
from pathlib import Path
from typing import Any

from wanbench.models.facts import ARCHITECTURES


def write_hollow_checkpoint(
    folder: Path, model: str = "TI2V-5B", scale: str = "tiny", transformer_bytes: int = 400
) -> Path:
    """The folder in which a model's parts lie as `save_pretrained` writes them; large files take no space on disk."""
    shutil.copytree(ARCHITECTURES / scale / model, folder, dirs_exist_ok=True)
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer/tokenizer_config.json").write_text("{}")
    for config in sorted(folder.glob("*/config.json")):
        part = config.parent
        layers = json.loads(config.read_text("utf-8")).get("num_layers", 0)
        names = [f"blocks.{layer}.weight" for layer in range(layers)] if part.name.startswith("transformer") else []
        stem = "model" if part.name == "text_encoder" else "diffusion_pytorch_model"
        size_bytes = transformer_bytes if part.name == "transformer" else 400
        write_safetensors(part / f"{stem}.safetensors", [*names, "rest"], size_bytes)
    return folder


def edit(file: Path, **changes: Any) -> None:
    """Change keys of a JSON object."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def write_safetensors(file: Path, names: list[str], size_bytes: int) -> None:
    """A file of tensors without elements, but for the last, which has that many bytes."""
    ends = [(0, 0)] * (len(names) - 1) + [(0, size_bytes)]
    tensors = {
        name: {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
        for name, (begin, end) in zip(names, ends)
    }
    head = json.dumps(tensors).encode()
    with file.open("wb") as opened:
        opened.write(len(head).to_bytes(8, "little") + head)
        opened.truncate(8 + len(head) + size_bytes)
