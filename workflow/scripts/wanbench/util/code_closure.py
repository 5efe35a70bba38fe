"""The code that a script runs, found by its imports, and one digest of it.

The closure of a script is the script, each module of the package that it or one of those imports, or names as a
string (`python -m wanbench.telemetry.sampler`), and the data files that those name: a string constant that is the name
of a file or folder beside the module, or of a schema.

Comments, docstrings and layout are no part of the digest. Only the standard library is used, and nothing of a tree is
read that one Python writes otherwise than the next, so that the digest is the same under each.
"""

import ast
import hashlib
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

_NOT_COUNTED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_COUNTED_FIELDS = {
    kind: [name for name in kind._fields if name not in _NOT_COUNTED]
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class _Code:
    """A file of Python: what it says, the modules that it imports, and the strings in it."""

    text: bytes
    imports: set[str]
    strings: set[str]


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
        shown_too = not exempt or file.parent.name != "registry"
        content = _code(file, shown_too).text if file.suffix == ".py" else file.read_bytes()
        for part in (name.encode(), content):
            sha256.update(len(part).to_bytes(8, "big") + part)
    return sha256.hexdigest()[:16]


@cache
def _named_by(file: Path, root: Path) -> frozenset[Path]:
    """The files that a file of Python imports or names."""
    code = _code(file, True)
    modules = {name for name in code.imports | code.strings if name.startswith(f"{PACKAGE}.")}
    named = {path for name in modules for path in _files_of_module(root, name)}
    for folder in (file.parent, root.parent / "schemas"):
        beside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for path in (folder / name for name in code.strings if name.split("/", 1)[0] in beside):
            files = path.rglob("*") if path.is_dir() else [path]
            named |= {path for path in files if path.is_file() and path.suffix not in (".py", ".pyc")}
    return frozenset(named)


@cache
def _files_of_module(root: Path, name: str) -> list[Path]:
    """The file of a module and those of the packages around it."""
    around, _, _ = name.rpartition(".")
    path = root.joinpath(*name.split("."))
    files = [file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()]
    return [*_files_of_module(root, around), *files] if around else files


@cache
def _code(file: Path, shown_too: bool) -> _Code:
    """What a file says as text: of each node its kind, and the names and values of its fields that are not empty."""
    parts: list[str] = []
    imports: set[str] = set()
    strings: set[str] = set()

    def write(value: object) -> None:
        if isinstance(value, ast.AST):
            kind = type(value)
            parts.append(kind.__name__)
            if kind is ast.Import:
                imports.update(alias.name for alias in value.names)
            elif kind is ast.ImportFrom:
                imports.update(f"{value.module}.{alias.name}" for alias in value.names)
            elif kind is ast.Constant and isinstance(value.value, str):
                strings.add(value.value)
            for name in _COUNTED_FIELDS[kind]:
                field = getattr(value, name, None)
                if field is None or field == []:
                    continue
                if name == "body" and kind in _WITH_DOCSTRING:
                    field = [statement for statement in field if not _is_text(statement)]
                elif name == "values" and kind is ast.JoinedStr:
                    field = _joined(field)
                elif name == "keywords" and not shown_too:
                    field = [keyword for keyword in field if keyword.arg not in _SHOWN_ONLY]
                parts.append(name)
                write(field)
        elif isinstance(value, list):
            parts.append("[")
            for item in value:
                write(item)
            parts.append("]")
        else:
            # `repr` of a character that one Python can print and another cannot differs.
            parts.append(ascii(value))

    write(ast.parse(file.read_bytes()))
    return _Code("\n".join(parts).encode(), imports, strings)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _joined(values: list[ast.expr]) -> list[ast.expr | str]:
    """Parts of an f-string: between two braces one Python has one piece of text, another two or an empty one."""
    joined: list[ast.expr | str] = [""]
    for value in values:
        if isinstance(value, ast.Constant):
            joined[-1] += value.value
        else:
            joined += [value, ""]
    return joined
