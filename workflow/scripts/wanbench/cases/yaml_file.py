"""Read a YAML file strictly: what YAML would silently drop is an error."""

import json
import re
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from wanbench.util.digests import value_digest
from wanbench.util.errors import InputError
from wanbench.util.paths import is_stream, named_path
from wanbench.util.text import cut

# Aliases let a few lines stand for billions of values ("billion laughs"). A grid of 10,000 cases needs half of this.
_MOST_VALUES = 1_000_000
_DEEPEST = 100
_MERGE = "tag:yaml.org,2002:merge"
# Scalars that mean the same to people, to YAML 1.1 and to later versions of it, by the kind that YAML takes them for.
_PLAIN = {
    "int": "[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?[0-9]*\.?[0-9]*(e[-+]?[0-9]+)?",
    "bool": "true|false",
    "timestamp": "(?!)",
}


class _StrictLoader(yaml.CSafeLoader):
    """Refuses a key that stands twice in one mapping; YAML lets the later one win.

    On libyaml, which reads a file of 10,000 cases in a fifth of the time.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = True) -> dict[Any, Any]:
        first_line: dict[Any, int] = {}
        for key_node, _ in node.value:
            # `<<: *other` brings in keys of another mapping, where they may stand as well.
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise InputError(f"line {line}: a {type(key).__name__} is not allowed as a key; allowed: text")
            if key in first_line:
                raise InputError(f"line {line}: {key!r} stands here a second time (first in line {first_line[key]})")
            first_line[key] = line
        return super().construct_mapping(node, deep)


def _scalar(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    """The value of a scalar, unless YAML 1.1 takes for it what people read as another: 010 is 8, 1:20 is 80."""
    kind, text = node.tag.rpartition(":")[2], cut(node.value, 40)
    value = getattr(loader, f"construct_yaml_{kind}")(node)
    line = f"line {node.start_mark.line + 1}"
    if kind in ("int", "float") and not abs(value) <= sys.float_info.max:
        raise InputError(f"{line}: {text} is not allowed; allowed: finite numbers")
    if re.fullmatch(_PLAIN[kind], node.value, re.IGNORECASE):
        return value
    if kind == "timestamp":
        raise InputError(f"{line}: {text} is read by YAML as the date {value}; allowed: the text in quotes")
    read = json.dumps(value)
    raise InputError(f"{line}: {text} is read by YAML as {read}; allowed: {read}, or the text in quotes")


def _check_size(text: str) -> None:
    """Refuse what nests or repeats itself without end, each alias counted as what it stands for.

    Before a document is put together, which libyaml does by recursion and without a look at the stack.
    """
    counts, open_anchors, anchors = [0], [None], {}
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            counts.append(1)
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchors[open_anchors.pop()] = count = counts.pop()
            counts[-1] += count
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in open_anchors:
                raise InputError(f"line {line}: stands for itself, through an alias in it")
            counts[-1] += anchors.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            anchors[event.anchor] = 1
            counts[-1] += 1
        if len(counts) - 1 > _DEEPEST:
            raise InputError(f"line {line}: nests more than {_DEEPEST} deep")
        if counts[-1] > _MOST_VALUES:
            raise InputError(f"its aliases stand for more than {_MOST_VALUES:,} values")


for _kind in _PLAIN:
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _scalar)


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises:
        InputError: the file is missing, is not YAML, holds a key twice or text that is no Unicode, nests or repeats
            itself without end, or is no mapping.
    """
    text = ""
    try:
        if is_stream(path):
            raise InputError("is no file, and cannot be read as often as it is needed; allowed: a file")
        text = path.read_text("utf-8")
        _check_size(text)
        content = yaml.load(text, Loader=_StrictLoader)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        # Of most of them YAML says no more than that there is a character.
        is_tab = mark and text[mark.index : mark.index + 1] == "\t"
        tab = "a tab, which YAML does not allow there; allowed: spaces"
        problem = tab if is_tab else error.problem or error.context
        raise InputError(f"{path}: {where}not valid YAML: {problem}") from None
    except (yaml.YAMLError, ValueError, KeyError, AttributeError) as error:
        # PyYAML lets others through from values that are none of their type: the date 2001-13-01, !!bool perhaps.
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is empty or no mapping; allowed: keys with values")
    return content


def environment_digest(name: str) -> str:
    """Digest of a conda environment: envs/NAME.yaml, and the commands that Snakemake runs in it, without comments."""
    script = named_path(f"envs/{name}.post-deploy.sh")
    lines = script.read_text("utf-8").splitlines() if script.is_file() else []
    commands = [line for line in lines if not line.startswith("#")]
    return value_digest([read_yaml(named_path(f"envs/{name}.yaml")), *commands])
