"""Is a checkpoint folder whole, and nothing but data? Answered before any work, without importing what loads it.

Pickles and Python files run when they are loaded, and a folder can name both. diffusers is told not to run them as
well (`use_safetensors`, no `trust_remote_code`); here it is refused before a case has cost anything.
"""

import re
from pathlib import Path
from typing import Any

from wanbench.cases.checkpoint_weights import BadCheckpoint, check_model, json_object
from wanbench.util.text import one_line

_LIBRARIES = ("diffusers", "transformers")
_COMPONENT, _CLASS = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE = (".py", ".pyc", ".so")
_PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
_ALLOWED = "a folder in the diffusers layout, with whole weights of the model in safetensors and no code"


def checkpoint_problem(folder: Path, model: str) -> str | None:
    """What is wrong with a folder in the diffusers layout, as the end of a line; None where nothing is.

    It has no model_index.json, names classes that are not of diffusers or transformers, names or holds code, holds
    weights as pickles alone, is not whole, or is of another architecture than the model's.
    """
    if not (folder / "model_index.json").is_file():
        return "is not allowed; allowed: a folder with model_index.json (diffusers layout)"
    try:
        _check(folder, model)
    except BadCheckpoint as error:
        return f"is not allowed: {one_line(str(error), 300)}; allowed: {_ALLOWED}"
    except OSError as error:
        return f"cannot be read: {error.strerror}; allowed: {_ALLOWED}"
    return None


def _check(folder: Path, model: str) -> None:
    index = json_object(folder / "model_index.json")
    if not isinstance(index.get("_class_name", ""), str):
        raise _refused("model_index.json names a pipeline of its own", index["_class_name"])
    for file in sorted(folder.glob("*.py")):
        raise _refused("it holds code", file.name)
    for name, entry in index.items():
        if isinstance(entry, list) and entry != [None, None]:
            _check_entry(name, entry)
            _check_component(folder / name)
    check_model(folder, index, model)


def _check_entry(name: str, entry: list[Any]) -> None:
    library, *rest = entry or [None]
    of_a_library = library in _LIBRARIES and len(rest) == 1 and isinstance(rest[0], str) and _CLASS.fullmatch(rest[0])
    if not _COMPONENT.fullmatch(name) or not of_a_library:
        raise _refused(f"model_index.json names what is no class of {' or '.join(_LIBRARIES)}", {name: entry})


def _check_component(folder: Path) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for problem, suffixes in (("it holds code", _CODE), ("its weights are pickles, which run code", _PICKLES)):
        found = [file for file in files if file.suffix in suffixes]
        # Beside safetensors, other forms of the same weights are not loaded.
        if found and (suffixes is _CODE or not any(file.suffix == ".safetensors" for file in files)):
            raise _refused(problem, f"{folder.name}/{found[0].name}")
    for file in files:
        if file.name.endswith("config.json") and "auto_map" in json_object(file):
            raise _refused("it names code of its own", f"auto_map in {folder.name}/{file.name}")


def _refused(problem: str, what: object) -> BadCheckpoint:
    return BadCheckpoint(f"{problem} ({one_line(str(what), 80)})")
