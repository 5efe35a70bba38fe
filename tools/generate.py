"""Write the files that follow from the registries; with --check, name those that differ, and end with 1 for one."""

import json
import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from wanbench.models.facts import MODELS  # noqa: E402
from wanbench.registry.metrics import TABLES  # noqa: E402
from wanbench.registry.settings import ALWAYS, DERIVED, METHOD, MODEL, ROWS, WORKLOAD, Setting  # noqa: E402
from wanbench.registry.stage_metrics import NULLABLE, OF_STAGES, REQUIRED, Metric  # noqa: E402

_CONFIG_SCHEMA = "workflow/schemas/config.schema.json"
_TRACE_SCHEMA = "workflow/schemas/trace.schema.json"
_KEYS_PAGE = "config/README.md"
_KEYS_BEGIN, _KEYS_END = "<!-- Keys: made by tools/generate.py -->", "<!-- End of the keys -->"
# When a column is empty, where the top of the page says it: not measured, or no such thing.
_SAID_ABOVE = re.compile("not |no |none|nothing|without effect|as |does not fit")
_JSON_TYPES = {"whole": "integer", "real": "number", "truth": "boolean", "text": "string"}


def config_schema() -> str:
    """The schema of grid files as it is, with the settings from the rows."""
    schema = json.loads((ROOT / _CONFIG_SCHEMA).read_text("utf-8"))
    schema["$defs"]["settings"]["properties"] = {row.key: row.allowed for row in ROWS if row.role != DERIVED}
    return as_text(schema)


def trace_schema() -> str:
    """The trace's schema as it is, with the settings of the case, those that were applied, and the keys of a stage."""
    schema = json.loads((ROOT / _TRACE_SCHEMA).read_text("utf-8"))
    case = schema["definitions"]["case"]
    # A setting with a neutral value may be absent: the trace is older than the setting.
    case["required"] = ["name", *(row.key for row in ROWS if row.neutral is ALWAYS)]
    case["properties"] = {"name": case["properties"]["name"]} | {row.key: _in_trace(row) for row in ROWS}
    applicable = [row.key for row in ROWS if row.role in (WORKLOAD, METHOD)]
    references = {key: {"$ref": f"#/definitions/case/properties/{key}"} for key in applicable}
    schema["properties"]["applied"]["properties"] = references
    in_trace = [metric for metric in OF_STAGES if metric.trace]
    schema["definitions"]["stage"] = {
        "type": "object",
        "additionalProperties": False,
        "required": [metric.key for metric in in_trace if metric.trace == REQUIRED],
        "properties": {metric.key: _of_stage(metric) for metric in in_trace},
    }
    return as_text(schema)


def _in_trace(row: Setting) -> dict[str, Any]:
    """JSON schema of a setting's value in a trace, where guidance is a list and a setting without effect is null."""
    if row.type == "numbers":
        return {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2}
    if row.type == "truth":
        # An enum would take 1 for true.
        return {"type": "boolean"}
    value = {key: what for key, what in row.allowed.items() if key != "description"}
    if row.nullable and "enum" in value:
        return {"enum": [*value["enum"], None]}
    return value | {"type": [value["type"], "null"]} if row.nullable else value


def _of_stage(metric: Metric) -> dict[str, Any]:
    if not {"const", "enum"}.isdisjoint(metric.schema):
        return dict(metric.schema)
    kind = _JSON_TYPES[metric.type]
    least = {"minimum": 0} if kind in ("integer", "number") else {}
    return {"type": [kind, "null"] if metric.trace == NULLABLE else kind} | least | dict(metric.schema)


def keys_page() -> str:
    """config/README.md as it is, with the table of all keys from the rows."""
    lines = ["| Key | Allowed | Default | Meaning |", "|---|---|---|---|"]
    for row in ROWS:
        if row.role != DERIVED:
            lines.append(f"| `{row.key}` | {_allowed(row)} | {_default(row)} | {row.meaning} |")
    page = (ROOT / _KEYS_PAGE).read_text("utf-8")
    between = re.compile(f"(?<={re.escape(_KEYS_BEGIN)}\n).*(?={re.escape(_KEYS_END)})", re.DOTALL)
    return between.sub(lambda _: "\n".join(["", *lines, "", ""]), page)


def _allowed(row: Setting) -> str:
    return row.allowed.get("description") or ", ".join(map(_shown, row.allowed["enum"]))


def _default(row: Setting) -> str:
    """A default in words; for one that the model decides, each value with its models."""
    if row.default is not MODEL:
        return "" if row.default is None else _shown(row.default)
    models: dict[str, list[str]] = {}
    for model, facts in MODELS.items():
        models.setdefault(_shown(facts.defaults().get(row.key)), []).append(model)
    if row.type == "text" and row.key not in ("task", "size"):
        return MODEL
    return "; ".join(f"{value} ({', '.join(of)})" for value, of in models.items())


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]" if len(value) > 1 else _shown(value[0])
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def tables_page() -> str:
    """docs/tables.md: its template, with a table of the rows of each group in the place of the group's name."""
    page = (ROOT / "tools/tables_page.md").read_text("utf-8")
    return re.sub(r"^\{(\w+): (.*)\}$", lambda match: _rows(*match.groups()), page, flags=re.M)


def _rows(table: str, group: str) -> str:
    """A table of columns and meanings; columns that mean the same, one after the other, share a row."""
    shared = [(meaning, list(metrics)) for meaning, metrics in groupby(TABLES[table][group], _meaning)]
    rows = [(", ".join(f"`{metric.key}`" for metric in metrics), meaning) for meaning, metrics in shared]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [("Column", "Meaning"), ("---",) * 2, *rows])


def _meaning(metric: Metric) -> str:
    several = f" ({metric.over_gpus})" if metric.over_gpus else ""
    empty = "" if not metric.empty or _SAID_ABOVE.match(metric.empty) else f"; empty: {metric.empty}"
    return metric.meaning + several + empty


def as_text(schema: Any) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


# What is not of the registries in a file stays as it is.
GENERATED = {
    _CONFIG_SCHEMA: config_schema,
    _TRACE_SCHEMA: trace_schema,
    _KEYS_PAGE: keys_page,
    "docs/tables.md": tables_page,
}


def main(check: bool) -> int:
    """The exit code: with `check`, 1 where a file is not as the registries have it."""
    texts = {ROOT / path: made() for path, made in GENERATED.items()}
    differing = {file: text for file, text in texts.items() if file.read_text("utf-8") != text}
    for file, text in differing.items():
        if not check:
            file.write_text(text, "utf-8")
        how = "differs from the registries (python tools/generate.py)" if check else "written"
        print(f"{file.relative_to(ROOT)}: {how}")
    return int(check and bool(differing))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
