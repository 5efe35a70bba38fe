"""Check settings against the JSON schema, and say in one line what is wrong."""

import difflib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from wanbench.errors import InputError
from wanbench.text import escape_in_json

_SCHEMAS = Path(__file__).parents[3] / "schemas"
SCHEMA_FILE = _SCHEMAS / "config.schema.json"
THRESHOLDS_SCHEMA_FILE = _SCHEMAS / "thresholds.schema.json"


@cache
def _schema(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8"))


@cache
def _validator(definition: str | None, file: Path) -> Draft202012Validator:
    schema = _schema(file)
    if definition is not None:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return Draft202012Validator(schema)


def check(value: Any, where: str, definition: str | None = None, schema_file: Path = SCHEMA_FILE) -> None:
    """Check a value against a schema (that of grid files unless told otherwise), or against one of its definitions.

    Raises:
        InputError: one line for each fault, beginning with `where`.
    """
    errors = sorted(
        _validator(definition, schema_file).iter_errors(value), key=lambda error: [str(part) for part in error.path]
    )
    if errors:
        # A value can be wrong in two ways that read the same.
        raise InputError("\n".join(dict.fromkeys(_sentence(error, where) for error in errors)))


def setting_names() -> list[str]:
    """Names of all keys that a case may have."""
    return list(_schema(SCHEMA_FILE)["$defs"]["settings"]["properties"])


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A question with the nearest spelling, or nothing."""
    matches = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def shown(value: Any) -> str:
    """A value for a message: on one line, and not longer than a line."""
    text = escape_in_json(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else text[:77] + "..."


def not_allowed(where: str, key: str, value: Any, allowed: str) -> InputError:
    """The error for a value that a key may not have; `allowed` says in words what it may."""
    return InputError(f"{where}: {key}: {shown(value)} is not allowed; allowed: {allowed}")


def _sentence(error: ValidationError, where: str) -> str:
    path = list(error.absolute_path)
    if path and path[0] == "cases" and len(path) > 1:
        where, path = f"{where}: case {path[1]!r}", path[2:]
    key = ".".join(str(part) for part in path)
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in allowed)
        place = f"{where}: {key}" if key else where
        hint = nearest(str(unknown), allowed)
        value = shown(error.instance[unknown])
        return f"{place}: unknown key {unknown!r}{hint} with value {value}; allowed: {', '.join(allowed)}"
    if error.validator == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        return f"{where}: case name {shown(error.instance)} is not allowed; allowed: {error.schema['description']}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        path_to_key = ".".join([*([key] if key else []), missing])
        allowed = error.schema["properties"][missing].get("description", error.schema["description"])
        return f"{where}: {path_to_key} is missing; allowed: {allowed}"
    if "enum" in error.schema:
        allowed_values = error.schema["enum"]
        hint = nearest(str(error.instance), [str(value) for value in allowed_values])
        listed = ", ".join(value if isinstance(value, str) else json.dumps(value) for value in allowed_values)
        return f"{where}: {key}: {shown(error.instance)} is not allowed{hint}; allowed: {listed}"
    place = f"{where}: {key}" if key else where
    return f"{place}: {shown(error.instance)} is not allowed; allowed: {error.schema.get('description', error.message)}"
