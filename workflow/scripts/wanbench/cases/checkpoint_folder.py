"""Is a checkpoint folder whole, of the model that a case names, and nothing but data? Answered before any work.

Pickles and Python files run when they are loaded, and a folder can name both. diffusers is told not to run them as
well (`use_safetensors`, no `trust_remote_code`); here it is refused before a case has cost anything. Only the heads of
weights are read, and nothing that loads them is imported.
"""

import json
import os
from pathlib import Path
from typing import Any

from wanbench.cases.schema import shown
from wanbench.models.facts import ARCHITECTURES
from wanbench.util.errors import InputError
from wanbench.util.paths import is_stream
from wanbench.util.text import one_line

_CODE = (".py", ".pyc", ".so")
_PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
_ALLOWED = "a folder in the diffusers layout, with whole weights of the model in safetensors and no code"
# File names that `from_pretrained` of each library looks for, where no variant is asked for.
_STEMS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
# What of model_index.json decides how the pipeline denoises.
_PIPELINE_KEYS = ("boundary_ratio", "expand_timesteps")
# How the file begins that stands for another in a clone without git-lfs.
_POINTER = b"version "
# MAX_HEADER_SIZE of the safetensors library.
_LONGEST_HEAD_BYTES = 100_000_000


def checkpoint_problem(folder: Path, model: str) -> str | None:
    """What is wrong with a folder in the diffusers layout, as the end of a line; None where nothing is.

    It has no model_index.json, is of another model or architecture, names or holds code, holds weights as pickles
    alone, or is not whole.
    """
    if not (folder / "model_index.json").is_file():
        return "is not allowed; allowed: a folder with model_index.json (diffusers layout)"
    try:
        _check(folder, model)
    except InputError as error:
        return f"is not allowed: {one_line(str(error), 300)}; allowed: {_ALLOWED}"
    except OSError as error:
        return f"cannot be read: {error.strerror}; allowed: {_ALLOWED}"
    return None


def tensors_of(file: Path) -> list[str]:
    """Names of the tensors of a safetensors file, which has the size that its head says.

    Raises:
        InputError: it is not there, no safetensors file, or not whole.
    """
    name = f"{file.parent.name}/{file.name}"
    if is_stream(file):
        raise InputError(f"{name} is no file")
    try:
        with file.open("rb") as opened:
            size_bytes = file.stat().st_size
            begin = opened.read(8)
            length = int.from_bytes(begin, "little")
            # Else what is no safetensors file could ask for any amount of memory.
            head = opened.read(length) if length <= min(_LONGEST_HEAD_BYTES, size_bytes) else b""
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    if begin == _POINTER:
        raise InputError(f"{name} is a Git LFS pointer in place of the weights (`git lfs pull` gets them)")
    try:
        ends = {key: value["data_offsets"][1] for key, value in json.loads(head).items() if key != "__metadata__"}
        end_bytes = 8 + length + max(ends.values(), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{name} is no safetensors file, or cut short: it has {size_bytes:,} bytes") from None
    if end_bytes != size_bytes:
        raise InputError(f"{name} is not whole: its head says {end_bytes:,} bytes, and it has {size_bytes:,}")
    return list(ends)


def _check(folder: Path, model: str) -> None:
    published = _json_object(ARCHITECTURES / "full" / model / "model_index.json")
    _check_index(_json_object(folder / "model_index.json"), published, model)
    for file in sorted(folder.glob("*.py")):
        raise InputError(f"it holds code ({file.name})")
    for name, entry in published.items():
        if isinstance(entry, list) and all(entry):
            _check_part(folder / name, entry[0], model)


def _check_index(index: dict[str, Any], published: dict[str, Any], model: str) -> None:
    if not isinstance(index.get("_class_name", ""), str):
        raise InputError(f"model_index.json names a pipeline of its own ({shown(index['_class_name'])})")
    entries = [key for key, value in (*published.items(), *index.items()) if isinstance(value, list)]
    for key in dict.fromkeys([*_PIPELINE_KEYS, *entries]):
        found, wanted = index.get(key), published.get(key)
        # Pipelines of before there was a key have none. Tokenizers and schedulers go by several names.
        is_same = (found or [None, None]) == (wanted or [None, None])
        if not (is_same or (key in ("tokenizer", "scheduler") and _is_class(found))):
            said = f"{key} is {shown(found)}, and not {shown(wanted)}"
            raise InputError(f"model_index.json is not of {model}: {said}")


def _is_class(entry: Any) -> bool:
    """Whether an entry of the index names a class of the two libraries."""
    match entry:
        case ["diffusers" | "transformers", str(name)]:
            return name.isidentifier()
    return False


def _check_part(part: Path, library: str, model: str) -> None:
    if not part.is_dir():
        raise InputError(f"the folder {part.name} is not there")
    for file in sorted(part.rglob("*")):
        if file.suffix in _CODE:
            raise InputError(f"it holds code ({part.name}/{file.name})")
        if file.name.endswith("config.json") and "auto_map" in _json_object(file):
            raise InputError(f"it names code of its own (auto_map in {part.name}/{file.name})")
    if (ARCHITECTURES / "full" / model / part.name / "config.json").is_file():
        _check_architecture(part, model)
        _check_weights(part, library)


def _check_architecture(part: Path, model: str) -> None:
    config = _json_object(part / "config.json")
    differing = []
    for scale in ("full", "tiny"):
        published = _json_object(ARCHITECTURES / scale / model / part.name / "config.json")
        sizes = {key: value for key, value in published.items() if key in config and _is_size(value)}
        differing.append({key: value for key, value in sizes.items() if config[key] != value})
    for key, value in min(differing, key=len).items():
        said = f"{key} is {shown(config[key])}, and not {shown(value)}"
        raise InputError(f"{part.name}/config.json is not the architecture of {model}: {said}")


def _is_size(value: Any) -> bool:
    """Whether a value of a configuration decides shapes: a number of layers, or a list of them."""
    return all(type(item) is int for item in (value if isinstance(value, list) else [value]))


def _check_weights(part: Path, library: str) -> None:
    file = part / f"{_STEMS[library]}.safetensors"
    index_file = part / f"{file.name}.index.json"
    if os.path.lexists(index_file):
        names = _sharded(part, index_file)
    elif os.path.lexists(file):
        names = set(tensors_of(file))
    elif variants := sorted(part.glob("*.safetensors")):
        only = f"there is {variants[0].name}, which is loaded only as a variant"
        raise InputError(f"{part.name}/{file.name} is not there; {only}")
    elif pickles := sorted(file for file in part.iterdir() if file.suffix in _PICKLES):
        raise InputError(f"its weights are pickles, which run code ({part.name}/{pickles[0].name})")
    else:
        raise InputError(f"{part.name}/{file.name} is not there")
    layers = _json_object(part / "config.json").get("num_layers")
    if part.name.startswith("transformer") and isinstance(layers, int):
        there = {name.split(".")[1] for name in names if name.startswith("blocks.")}
        for layer in range(layers):
            if str(layer) not in there:
                raise InputError(f"{part.name}: its weights lack block {layer} of {layers}")


def _sharded(part: Path, index_file: Path) -> set[str]:
    """Names of the tensors of all files that an index names, each of which has its own."""
    weight_map = _json_object(index_file).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{part.name}/{index_file.name} has no weight_map")
    if not all(isinstance(file, str) and Path(file).name == file for file in weight_map.values()):
        raise InputError(f"{part.name}/{index_file.name} names what is no file beside it")
    there = {file: set(tensors_of(part / file)) for file in sorted(set(weight_map.values()))}
    for name, file in weight_map.items():
        if name not in there[file]:
            raise InputError(f"{part.name}/{file} lacks the tensor {shown(name)}, which {index_file.name} names")
    return set(weight_map)


def _json_object(file: Path) -> dict[str, Any]:
    name = f"{file.parent.name}/{file.name}"
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{name} is no JSON object ({shown(content)})")
    return content
