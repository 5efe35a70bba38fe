"""Read a YAML file strictly: what YAML would silently drop is an error."""

import math
from pathlib import Path
from typing import Any

import yaml

from wanbench.errors import InputError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping; YAML lets the later one win."""


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    first_line: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        line = key_node.start_mark.line + 1
        if key in first_line:
            raise InputError(f"line {line}: {key!r} stands here a second time (first in line {first_line[key]})")
        first_line[key] = line
    return loader.construct_mapping(node, deep=True)


def _finite_number(loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    number = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise InputError(f"line {node.start_mark.line + 1}: {node.value} is not allowed; allowed: finite numbers")
    return number


_StrictLoader.add_constructor("tag:yaml.org,2002:float", _finite_number)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        InputError: the file is missing, is not YAML, holds a key twice, or is no mapping.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=_StrictLoader)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{path}: {where}not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is empty or no mapping; allowed: keys with values")
    return content
