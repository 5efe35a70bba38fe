"""Are the weights of a checkpoint folder there, whole, and those of the model that a case names?

Only the heads of the files are read: tens of gigabytes are not, and nothing that loads them is imported.
"""

import json
from pathlib import Path
from typing import Any

from wanbench.cases.schema import shown
from wanbench.models.facts import ARCHITECTURES
from wanbench.util.paths import is_stream

# File names that `from_pretrained` of each library looks for, where no variant is asked for.
_STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
# What of model_index.json decides how the pipeline denoises.
_PIPELINE_KEYS = ("boundary_ratio", "expand_timesteps")
# How the file begins that stands for another in a clone without git-lfs.
_POINTER = b"version "
# MAX_HEADER_SIZE of the safetensors library.
_LONGEST_HEAD_BYTES = 100_000_000


class BadCheckpoint(ValueError):
    """What is wrong with a checkpoint, without the place."""


def json_object(file: Path) -> dict[str, Any]:
    """The content of a JSON file of a checkpoint.

    Raises:
        BadCheckpoint: it cannot be read, or is no JSON object.
    """
    name = f"{file.parent.name}/{file.name}"
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadCheckpoint(f"{name} cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise BadCheckpoint(f"{name} is no JSON object ({shown(content)})")
    return content


def check_model(folder: Path, index: dict[str, Any], model: str) -> None:
    """Check that a folder holds all parts of a model, each whole and of its architecture at full or tiny scale.

    Args:
        index: its model_index.json.

    Raises:
        BadCheckpoint: what is missing, broken, or of another model.
    """
    published = ARCHITECTURES / "full" / model
    for name, entry in _parts(json_object(published / "model_index.json"), index, model).items():
        if not (folder / name).is_dir():
            raise BadCheckpoint(f"the folder {name} is not there")
        if (published / name / "config.json").is_file():
            _check_architecture(folder / name, model)
            _check_weights(folder / name, entry[0])


def _parts(published: dict[str, Any], index: dict[str, Any], model: str) -> dict[str, list[str]]:
    """Library and class by part of a model, once it is known that an index has these and no other denoiser."""
    other = f"model_index.json is not of {model}"
    for key in _PIPELINE_KEYS:
        # Pipelines of before there was a key have none.
        if (index.get(key) or None) != (published[key] or None):
            raise BadCheckpoint(f"{other}: {key} is {shown(index.get(key))}, and not {shown(published[key])}")
    entries = {name: entry for name, entry in published.items() if isinstance(entry, list)}
    for name, entry in entries.items():
        found = index.get(name, [None, None])
        # Tokenizers and schedulers go by several names.
        if found != entry and not (name in ("tokenizer", "scheduler") and isinstance(found, list) and all(found)):
            raise BadCheckpoint(f"{other}: {name} is {shown(found)}, and not {shown(entry)}")
    return {name: entry for name, entry in entries.items() if all(entry)}


def _check_architecture(part: Path, model: str) -> None:
    config = json_object(part / "config.json")
    differing = {}
    for scale in ("full", "tiny"):
        published = json_object(ARCHITECTURES / scale / model / part.name / "config.json")
        differing[scale] = {
            key: value for key, value in published.items() if key in config and _is_size(value) and config[key] != value
        }
    nearest = min(differing, key=lambda scale: len(differing[scale]))
    for key, value in differing[nearest].items():
        said = f"{key} is {shown(config[key])}, and not {shown(value)}"
        raise BadCheckpoint(f"{part.name}/config.json is not the architecture of {model}: {said}")


def _is_size(value: Any) -> bool:
    """Whether a value of a configuration decides shapes: a number of layers, or a list of them."""
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, int) and not isinstance(item, bool) for item in items)


def _check_weights(part: Path, library: str) -> None:
    stem = f"{_STEMS[library]}.safetensors"
    index_file = part / f"{stem}.index.json"
    if index_file.is_symlink() or index_file.exists():
        names = _sharded(part, index_file)
    elif (part / stem).is_symlink() or (part / stem).exists():
        names = set(tensors_of(part / stem))
    else:
        others = sorted(file.name for file in part.glob("*.safetensors"))
        variant = f"; there is {others[0]}, which is loaded only as a variant" if others else ""
        raise BadCheckpoint(f"{part.name}/{stem} is not there{variant}")
    layers = json_object(part / "config.json").get("num_layers")
    if part.name.startswith("transformer") and isinstance(layers, int):
        there = {name.split(".")[1] for name in names if name.startswith("blocks.")}
        for layer in range(layers):
            if str(layer) not in there:
                raise BadCheckpoint(f"{part.name}: its weights lack block {layer} of {layers}")


def _sharded(part: Path, index_file: Path) -> set[str]:
    """Names of the tensors of all files that an index names, each of which has its own."""
    weight_map = json_object(index_file).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadCheckpoint(f"{part.name}/{index_file.name} has no weight_map")
    if not all(isinstance(file, str) and Path(file).name == file for file in weight_map.values()):
        raise BadCheckpoint(f"{part.name}/{index_file.name} names what is no file beside it")
    there = {file: set(tensors_of(part / file)) for file in sorted(set(weight_map.values()))}
    for name, file in weight_map.items():
        if name not in there[file]:
            raise BadCheckpoint(f"{part.name}/{file} lacks the tensor {shown(name)}, which {index_file.name} names")
    return set(weight_map)


def tensors_of(file: Path) -> list[str]:
    """Names of the tensors of a safetensors file, which has the size that its head says.

    Raises:
        BadCheckpoint: it is not there, no safetensors file, or not whole.
    """
    name, size_bytes = f"{file.parent.name}/{file.name}", 0
    try:
        if is_stream(file):
            raise BadCheckpoint(f"{name} is no file")
        size_bytes = file.stat().st_size
        with file.open("rb") as opened:
            begin = opened.read(8)
            if begin == _POINTER:
                raise BadCheckpoint(f"{name} is a Git LFS pointer in place of the weights (`git lfs pull` gets them)")
            length = int.from_bytes(begin, "little")
            # Else what is no safetensors file could ask for any amount of memory.
            head = opened.read(length) if length <= min(_LONGEST_HEAD_BYTES, size_bytes) else b""
        tensors = {key: value for key, value in json.loads(head).items() if key != "__metadata__"}
        end_bytes = 8 + length + max((value["data_offsets"][1] for value in tensors.values()), default=0)
        if end_bytes == size_bytes:
            return list(tensors)
    except OSError as error:
        raise BadCheckpoint(f"{name} cannot be read: {error.strerror}") from None
    except BadCheckpoint:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise BadCheckpoint(f"{name} is no safetensors file, or cut short: it has {size_bytes:,} bytes") from None
    raise BadCheckpoint(f"{name} is not whole: its head says {end_bytes:,} bytes, and it has {size_bytes:,}")
