"""Read a YAML file strictly: what YAML would silently drop is an error."""

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from wanbench.util.errors import InputError

# Aliases let a few lines stand for billions of values ("billion laughs"). A grid of 10,000 cases needs half of this.
_MOST_VALUES = 1_000_000
_DEEPEST = 100
_TAB = "a tab, which YAML does not allow there; allowed: spaces"


class _StrictLoader(yaml.CSafeLoader):
    """Refuses a key that stands twice in one mapping; YAML lets the later one win.

    On libyaml, which reads a file of 10,000 cases in a fifth of the time.
    """


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    first_line: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, Hashable):
            raise InputError(f"line {line}: a {type(key).__name__} is not allowed as a key; allowed: text")
        if key in first_line:
            raise InputError(f"line {line}: {key!r} stands here a second time (first in line {first_line[key]})")
        first_line[key] = line
    return loader.construct_mapping(node, deep=True)


def _finite_number(loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    number = loader.construct_yaml_float(node)
    if not math.isfinite(number):
        raise InputError(f"line {node.start_mark.line + 1}: {node.value} is not allowed; allowed: finite numbers")
    return number


def _values_of(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Number of values that a node stands for, with each alias counted as what it stands for.

    Args:
        known: numbers by identity of the nodes counted so far; None while a node is being counted.
    """
    if id(node) in known:
        count = known[id(node)]
        if count is None:
            raise InputError(f"line {node.start_mark.line + 1}: stands for itself, through an alias in it")
        return count
    known[id(node)] = None
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    known[id(node)] = count = 1 + sum(_values_of(part, known) for part in parts)
    return count


def _check_depth(text: str) -> None:
    """Before a document is put together, which libyaml does by recursion and without a look at the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise InputError(f"line {event.start_mark.line + 1}: nests more than {_DEEPEST} deep")


def _is_tab(text: str, mark: yaml.Mark) -> bool:
    lines = text.split("\n")
    return mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t"


def _load(text: str) -> Any:
    _check_depth(text)
    loader = _StrictLoader(text)
    root = loader.get_single_node()
    if root is None:
        return None
    if _values_of(root, {}) > _MOST_VALUES:
        raise InputError(f"its aliases stand for more than {_MOST_VALUES:,} values")
    return loader.construct_document(root)


_StrictLoader.add_constructor("tag:yaml.org,2002:float", _finite_number)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        InputError: the file is missing, is not YAML, holds a key twice or text that is no Unicode, nests or repeats
            itself without end, or is no mapping.
    """
    text = ""
    try:
        text = path.read_text("utf-8")
        content = _load(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        # Of most of them YAML says no more than that there is a character.
        problem = _TAB if mark and _is_tab(text, mark) else error.problem or error.context
        raise InputError(f"{path}: {where}not valid YAML: {problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except (ValueError, KeyError, AttributeError) as error:
        # What PyYAML lets through from values that are none of their type: the date 2001-13-01, !!bool perhaps.
        raise InputError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is empty or no mapping; allowed: keys with values")
    return content
