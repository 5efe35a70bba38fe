"""Check values against a JSON schema, and name in one line what is wrong and what is allowed."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from wanbench.cases.yaml_file import read_yaml
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path
from wanbench.util.text import escape_in_json

_SCHEMAS = Path(__file__).parents[3] / "schemas"
SCHEMA_FILE = _SCHEMAS / "config.schema.json"

# As YAML reads them where they stand without quotes.
_TRUTH_VALUES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@cache
def _validator(definition: str | None, file: Path) -> Draft202012Validator:
    schema = json.loads(file.read_text("utf-8"))
    if definition is not None:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return Draft202012Validator(schema)


class Problem(NamedTuple):
    """What is wrong, in one line, and the keys that lead to it; an unknown key is the last of them."""

    path: tuple[Any, ...]
    line: str


def problems_of(
    value: Any, where: str, definition: str | None = None, schema_file: Path = SCHEMA_FILE
) -> list[Problem]:
    """All that is wrong with a value by a schema or one of its definitions, in lines that begin with `where`."""
    errors = sorted(
        _validator(definition, schema_file).iter_errors(value), key=lambda error: [str(part) for part in error.path]
    )
    # A value can be wrong in two ways that read the same.
    return list(dict.fromkeys(problem for error in errors for problem in _problems(error, where)))


def check(value: Any, where: str, definition: str | None = None, schema_file: Path = SCHEMA_FILE) -> None:
    """Raise an InputError with the lines of `problems_of`, where there are any."""
    problems = problems_of(value, where, definition, schema_file)
    if problems:
        raise InputError("\n".join(dict.fromkeys(problem.line for problem in problems)))


def read_checked(path: str) -> dict[str, Any]:
    """The content of a YAML file of the project, checked against the schema of its name, as `check` does."""
    content = read_yaml(named_path(path))
    check(content, path, schema_file=_SCHEMAS / f"{Path(path).stem}.schema.json")
    return content


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A question with the nearest spelling, in capitals or not; or nothing."""
    written = {name.casefold(): name for name in allowed}
    matches = difflib.get_close_matches(word.casefold(), list(written), n=1)
    return f" (did you mean {written[matches[0]]!r}?)" if matches else ""


def shown(value: Any) -> str:
    """A value for a message: on one line, and not longer than a line."""
    text = escape_in_json(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else text[:77] + "..."


def not_allowed(key: str, value: Any, allowed: str, hint: str = "") -> InputError:
    """The error for a value that a key may not have; `allowed` says in words what it may."""
    return InputError(f"{key}: {shown(value)} is not allowed{hint}; allowed: {allowed}")


def _problems(error: ValidationError, where: str) -> Iterator[Problem]:
    path = shown_path = tuple(error.absolute_path)
    if path[:1] == ("cases",) and len(path) > 1:
        where, shown_path = f"{where}: case {path[1]!r}", path[2:]
    place = ": ".join([where, ".".join(map(str, shown_path))]) if shown_path else where
    schema, value = error.schema, error.instance
    if error.validator == "additionalProperties":
        keys = schema["properties"]
        for name in (name for name in value if name not in keys):
            unknown = f"{name!r}{nearest(str(name), keys)} with value {shown(value[name])}"
            yield Problem((*path, name), f"{place}: unknown key {unknown}; allowed: {', '.join(keys)}")
    elif "propertyNames" in error.absolute_schema_path:
        line = f"{where}: case name {shown(value)} is not allowed; allowed: {schema['description']}"
        yield Problem((*path, value), line)
    elif error.validator == "required":
        # Of several there is an error each, and none says which is its own.
        for name in (name for name in error.validator_value if name not in value):
            key = ".".join(map(str, (*shown_path, name)))
            allowed = schema["properties"][name].get("description", schema["description"])
            yield Problem(path, f"{where}: {key} is missing; allowed: {allowed}")
    else:
        allowed = schema.get("description", error.message)
        if "enum" in schema:
            allowed = ", ".join(each if isinstance(each, str) else json.dumps(each) for each in schema["enum"])
        yield Problem(path, f"{place}: {shown(value)} is not allowed{_hint(error)}; allowed: {allowed}")


def _hint(error: ValidationError) -> str:
    value = str(error.instance)
    quoted = isinstance(error.instance, str)
    if quoted and re.fullmatch(r"\d+,\d+", value) and error.validator in ("type", "oneOf"):
        return f" (write {value.replace(',', '.')})"
    meant = _TRUTH_VALUES.get(value.lower())
    # YAML reads 1e3 as text.
    if meant is None and re.fullmatch(
        r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?(e\+?\d{1,2})?", value, re.ASCII | re.IGNORECASE
    ):
        meant = json.loads(value)
        meant = int(meant) if meant == int(meant) else meant
    if quoted and meant is not None and Draft202012Validator(error.schema).is_valid(meant):
        return f" (write {json.dumps(meant)} without quotes)"
    if "enum" in error.schema and error.absolute_path[-1] == "model" and "/" in value:
        return " (a hub id or a folder goes into checkpoint:)"
    if "enum" in error.schema:
        return nearest(value, [word for word in error.schema["enum"] if isinstance(word, str)])
    # Names of cases and other programs have 1280x704.
    size = re.fullmatch(r"(\d{1,5}) ?[xX×] ?(\d{1,5})", value, re.ASCII)
    return f" (did you mean '{size[1]}*{size[2]}'?)" if size and error.validator == "pattern" else ""
