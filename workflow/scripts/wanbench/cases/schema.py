"""Check settings against the JSON schema, and say in one line what is wrong."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from wanbench.util.errors import InputError
from wanbench.util.text import escape_in_json

_SCHEMAS = Path(__file__).parents[3] / "schemas"
SCHEMA_FILE = _SCHEMAS / "config.schema.json"
THRESHOLDS_SCHEMA_FILE = _SCHEMAS / "thresholds.schema.json"

# As YAML reads them where they stand without quotes.
_TRUTH_VALUES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@cache
def _schema(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8"))


@cache
def _validator(definition: str | None, file: Path) -> Draft202012Validator:
    schema = _schema(file)
    if definition is not None:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return Draft202012Validator(schema)


@dataclass(frozen=True)
class Fault:
    """What is wrong, in one line, and the keys that lead to it; an unknown key is the last of them."""

    path: tuple[Any, ...]
    sentence: str


def faults_of(value: Any, where: str, definition: str | None = None, schema_file: Path = SCHEMA_FILE) -> list[Fault]:
    """All that is wrong with a value by a schema (of grid files unless told otherwise), or by one of its definitions.

    Args:
        where: what each sentence begins with.
    """
    errors = sorted(
        _validator(definition, schema_file).iter_errors(value), key=lambda error: [str(part) for part in error.path]
    )
    # A value can be wrong in two ways that read the same.
    return list(dict.fromkeys(fault for error in errors for fault in _faults(error, where)))


def check(value: Any, where: str, definition: str | None = None, schema_file: Path = SCHEMA_FILE) -> None:
    """Check a value as `faults_of` does.

    Raises:
        InputError: one line for each fault, beginning with `where`.
    """
    faults = faults_of(value, where, definition, schema_file)
    if faults:
        raise InputError("\n".join(dict.fromkeys(fault.sentence for fault in faults)))


def setting_names() -> list[str]:
    """Names of all keys that a case may have."""
    return list(_schema(SCHEMA_FILE)["$defs"]["settings"]["properties"])


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A question with the nearest spelling, in capitals or not; or nothing."""
    written = {name.casefold(): name for name in allowed}
    matches = difflib.get_close_matches(word.casefold(), list(written), n=1)
    return f" (did you mean {written[matches[0]]!r}?)" if matches else ""


def shown(value: Any) -> str:
    """A value for a message: on one line, and not longer than a line."""
    text = escape_in_json(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 80 else text[:77] + "..."


def not_allowed(where: str, key: str, value: Any, allowed: str) -> InputError:
    """The error for a value that a key may not have; `allowed` says in words what it may."""
    return InputError(f"{where}: {key}: {shown(value)} is not allowed; allowed: {allowed}")


def _faults(error: ValidationError, where: str) -> list[Fault]:
    path = tuple(error.absolute_path)
    shown_path = path
    if path and path[0] == "cases" and len(path) > 1:
        where, shown_path = f"{where}: case {path[1]!r}", path[2:]
    key = ".".join(str(part) for part in shown_path)
    place = f"{where}: {key}" if key else where
    if error.validator == "additionalProperties":
        allowed = list(error.schema["properties"])
        unknown = [name for name in error.instance if name not in allowed]
        return [Fault((*path, name), _unknown_key(name, error.instance[name], allowed, place)) for name in unknown]
    if error.validator == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        name, described = error.instance, error.schema["description"]
        return [Fault((*path, name), f"{where}: case name {shown(name)} is not allowed; allowed: {described}")]
    if error.validator == "required":
        # Of several there is an error each, and none says which is its own.
        missing = [name for name in error.validator_value if name not in error.instance]
        return [Fault(path, _missing_key(error.schema, name, key, where)) for name in missing]
    return [Fault(path, f"{place}: {_value_sentence(error)}")]


def _unknown_key(name: Any, value: Any, allowed: list[str], place: str) -> str:
    hint = nearest(str(name), allowed)
    return f"{place}: unknown key {name!r}{hint} with value {shown(value)}; allowed: {', '.join(allowed)}"


def _missing_key(schema: dict[str, Any], missing: str, key: str, where: str) -> str:
    path_to_key = ".".join([*([key] if key else []), missing])
    allowed = schema["properties"][missing].get("description", schema["description"])
    return f"{where}: {path_to_key} is missing; allowed: {allowed}"


def _value_sentence(error: ValidationError) -> str:
    hint = _unquoted(error)
    if "enum" in error.schema:
        allowed_values = error.schema["enum"]
        hint = hint or nearest(str(error.instance), [value for value in allowed_values if isinstance(value, str)])
        listed = ", ".join(value if isinstance(value, str) else json.dumps(value) for value in allowed_values)
        return f"{shown(error.instance)} is not allowed{hint}; allowed: {listed}"
    hint = hint or (_with_a_star(error.instance) if error.validator == "pattern" else "")
    return f"{shown(error.instance)} is not allowed{hint}; allowed: {error.schema.get('description', error.message)}"


def _unquoted(error: ValidationError) -> str:
    """What to write for a number or a truth value in quotes, where it would be allowed; else nothing."""
    if not isinstance(error.instance, str):
        return ""
    meant = _TRUTH_VALUES.get(error.instance.lower())
    if meant is None and re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?", error.instance, re.ASCII):
        meant = json.loads(error.instance)
    if meant is None or not Draft202012Validator(error.schema).is_valid(meant):
        return ""
    return f" (write {json.dumps(meant)} without quotes)"


def _with_a_star(value: str) -> str:
    """A question with the size as it is written here: names of cases and other programs have 1280x704."""
    size = re.fullmatch(r"(\d{1,5}) ?[xX×] ?(\d{1,5})", value, re.ASCII)
    return f" (did you mean '{size[1]}*{size[2]}'?)" if size else ""
