"""The code that a script runs, found by its imports, and one digest of it.

The closure of a script is the script, each module of the package that it or one of those imports, or names as a string
(`python -m wanbench.measure.rank`), and the data files that those name: a string constant that is the name of a file or
folder beside the module, or of a schema.

Comments, docstrings and layout are no part of the digest. Only the standard library is used, and nothing of a tree is
read that one Python writes otherwise than the next, so that the digest is the same under each.
"""

import ast
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "wanbench"

# What decides nothing that is measured: no case is measured again for it.
NOT_MEASURED = (
    # A warning before a run, and what a job asks a scheduler for.
    "wanbench/estimate/",
    # The limits of the verdict, which a report gives anew.
    "wanbench/trace/verdict.py",
    # A setting counts through the case that has it.
    "wanbench/registry/settings.py",
)
# How the registries' rows are shown.
_SHOWN_ONLY = frozenset({"label", "meaning", "empty"})

# Positions are none of `_fields`.
_NOT_COUNTED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


@dataclass(frozen=True)
class _Module:
    """What a file of Python says, without layout, and the names in it that may stand for other files.

    Attributes:
        content_not_shown: without what says how the rows of a registry are shown.
    """

    content: str
    content_not_shown: str
    imported: frozenset[str]
    strings: frozenset[str]


def closure(script: Path, exempt: tuple[str, ...] = ()) -> list[Path]:
    """The files that decide what a script does, sorted.

    Args:
        script: beside the package's folder.
        exempt: files and rooms, seen from there, that do not count and are not followed.
    """
    without = tuple(f"{script.parent}/{name}" for name in exempt)
    found: set[Path] = set()
    waiting = {script}
    while waiting:
        found |= waiting
        named = set().union(*(_named_by(file, script.parent) for file in waiting if file.suffix == ".py"))
        waiting = {file for file in named - found if not str(file).startswith(without or "//")}
    return sorted(found)


def code_digest(script: Path, exempt: tuple[str, ...] = ()) -> str:
    """Digest of the closure of a script: of the files' names and of what they say.

    Args:
        exempt: as for `closure`; where anything is exempt, so is how the registries' rows are shown.
    """
    sha256 = hashlib.sha256()
    for file in closure(script, exempt):
        name = file.relative_to(script.parents[1]).as_posix()
        if file.suffix == ".py":
            module = _parsed(file)
            content = (module.content_not_shown if exempt else module.content).encode()
        else:
            content = file.read_bytes()
        for part in (name.encode(), content):
            sha256.update(len(part).to_bytes(8, "big") + part)
    return sha256.hexdigest()[:16]


@cache
def _named_by(file: Path, root: Path) -> frozenset[Path]:
    """The files that a file of Python imports or names."""
    module = _parsed(file)
    modules = module.imported | {name for name in module.strings if name.startswith(f"{PACKAGE}.")}
    named = {path for name in modules for path in _files_of_module(root, name)}
    for folder in (file.parent, root.parent / "schemas"):
        beside = set(os.listdir(folder)) if folder.is_dir() else set()
        for name in (name for name in module.strings if name.split("/")[0] in beside):
            path = folder / name
            files = path.rglob("*") if path.is_dir() else [path]
            named |= {path for path in files if path.is_file() and path.suffix not in (".py", ".pyc")}
    return frozenset(named)


@cache
def _files_of_module(root: Path, name: str) -> tuple[Path, ...]:
    """The file of a module and those of the packages around it; none for what is no module of the package."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return ()
    paths = [root.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    files = [file for path in paths for file in (path / "__init__.py", path.with_suffix(".py"))]
    return tuple(file for file in files if file.is_file())


@cache
def _parsed(file: Path) -> _Module:
    tree = ast.parse(file.read_bytes())
    written = _Written()
    written.add(tree)
    content = content_not_shown = "\n".join(written.parts)
    if file.parent.name == "registry":
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _SHOWN_ONLY]
        not_shown = _Written()
        not_shown.add(tree)
        content_not_shown = "\n".join(not_shown.parts)
    return _Module(content, content_not_shown, frozenset(written.imported), frozenset(written.strings))


class _Written:
    """A tree as text: of each node its kind, and the names and values of its fields that are not empty."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.imported: set[str] = set()
        self.strings: set[str] = set()

    def add(self, node: ast.AST) -> None:
        kind = type(node)
        add_part = self.parts.append
        add_part(kind.__name__)
        if kind is ast.Constant:
            self._add_value(node.value)
            return
        if kind is ast.Name:
            add_part(node.id)
            return
        if kind is ast.JoinedStr:
            self._add_joined(node)
            return
        if kind is ast.Import:
            self.imported.update(alias.name for alias in node.names)
        elif kind is ast.ImportFrom:
            self.imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        for field in _fields(kind):
            value = getattr(node, field, None)
            if value is None or value == []:
                continue
            add_part(field)
            if isinstance(value, ast.AST):
                self.add(value)
            elif isinstance(value, list):
                self._add_list(value)
            else:
                add_part(ascii(value))

    def _add_list(self, items: list[object]) -> None:
        self.parts.append("[")
        for item in items:
            if not isinstance(item, ast.AST):
                self.parts.append(ascii(item))
            elif not _is_docstring(item):
                self.add(item)
        self.parts.append("]")

    def _add_value(self, value: object) -> None:
        if isinstance(value, str):
            self.strings.add(value)
        # `repr` of a character that one Python can print and another cannot differs.
        self.parts.append(ascii(value))

    def _add_joined(self, node: ast.JoinedStr) -> None:
        """Between two braces one Python has one piece of text, another two or an empty one."""
        text = ""
        for item in node.values:
            if isinstance(item, ast.Constant):
                text += item.value
            else:
                self._add_value(text)
                text = ""
                self.add(item)
        self._add_value(text)


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Positions are none of them."""
    return tuple(field for field in kind._fields if field not in _NOT_COUNTED)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
