"""Is a checkpoint folder nothing but data? Answered before any work starts, without importing what loads it.

Pickles and Python files run when they are loaded, and a folder can name both. diffusers is told not to run them as
well (`use_safetensors`, no `trust_remote_code`); here it is refused before a case has cost anything.
"""

import json
import re
from pathlib import Path
from typing import Any

from wanbench.util.errors import InputError
from wanbench.util.text import one_line

_LIBRARIES = ("diffusers", "transformers")
_COMPONENT, _CLASS = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODE = (".py", ".pyc", ".so")
_PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
_ALLOWED = "a folder in the diffusers layout, with weights in safetensors and no code"


def check_checkpoint(folder: Path, where: str) -> None:
    """Check a folder in the diffusers layout.

    Raises:
        InputError: it has no model_index.json, names classes that are not of diffusers or transformers, names or holds
            code, or holds weights as pickles alone. One line that begins with `where`.
    """
    if not (folder / "model_index.json").is_file():
        raise InputError(f"{where} is not allowed; allowed: a folder with model_index.json (diffusers layout)")
    index = _config(folder / "model_index.json", where)
    if not isinstance(index.get("_class_name", ""), str):
        raise _refused(where, "model_index.json names a pipeline of its own", index["_class_name"])
    for file in sorted(folder.glob("*.py")):
        raise _refused(where, "it holds code", file.name)
    for name, entry in index.items():
        if isinstance(entry, list) and entry != [None, None]:
            _check_entry(name, entry, where)
            _check_component(folder / name, where)


def _check_entry(name: str, entry: list[Any], where: str) -> None:
    library, *rest = entry or [None]
    of_a_library = library in _LIBRARIES and len(rest) == 1 and isinstance(rest[0], str) and _CLASS.fullmatch(rest[0])
    if not _COMPONENT.fullmatch(name) or not of_a_library:
        raise _refused(where, f"model_index.json names what is no class of {' or '.join(_LIBRARIES)}", {name: entry})


def _check_component(folder: Path, where: str) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for problem, suffixes in (("it holds code", _CODE), ("its weights are pickles, which run code", _PICKLES)):
        found = [file for file in files if file.suffix in suffixes]
        # Beside safetensors, other forms of the same weights are not loaded.
        if found and (suffixes is _CODE or not any(file.suffix == ".safetensors" for file in files)):
            raise _refused(where, problem, f"{folder.name}/{found[0].name}")
    for file in files:
        if file.name.endswith("config.json") and "auto_map" in _config(file, where):
            raise _refused(where, "it names code of its own", f"auto_map in {folder.name}/{file.name}")


def _config(file: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(where, f"{file.parent.name}/{file.name} cannot be read", error) from None
    if not isinstance(content, dict):
        raise _refused(where, f"{file.parent.name}/{file.name} is no JSON object", content)
    return content


def _refused(where: str, problem: str, what: object) -> InputError:
    return InputError(f"{where} is not allowed: {problem} ({one_line(str(what), 80)}); allowed: {_ALLOWED}")
