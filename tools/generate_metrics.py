"""Write the files that follow from the rows of the metrics (with --check, compare them)."""

import json
import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from wanbench.registry.metrics import TABLES  # noqa: E402
from wanbench.registry.stage_metrics import NULLABLE, OF_STAGES, REQUIRED, Metric  # noqa: E402

_PAGE = ROOT / "tools/tables_page.md"
_TRACE_SCHEMA = "workflow/schemas/trace.schema.json"
# When a column is empty, where the top of the page says it: not measured, or no such thing.
_SAID_ABOVE = re.compile("not |no |none|nothing|without effect|as |does not fit")
_JSON_TYPES = {"whole": "integer", "real": "number", "truth": "boolean", "text": "string"}


def tables_page() -> str:
    """docs/tables.md: its template, with a table of the rows of each group in the place of the group's name."""
    return re.sub(r"^\{(\w+): (.*)\}$", lambda match: _rows(*match.groups()), _PAGE.read_text("utf-8"), flags=re.M)


def _rows(table: str, group: str) -> str:
    """A table of columns and meanings; columns that mean the same, one after the other, share a row."""
    shared = [(meaning, list(metrics)) for meaning, metrics in groupby(TABLES[table][group], _meaning)]
    rows = [(", ".join(f"`{metric.key}`" for metric in metrics), meaning) for meaning, metrics in shared]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [("Column", "Meaning"), ("---",) * 2, *rows])


def _meaning(metric: Metric) -> str:
    several = f" ({metric.over_gpus})" if metric.over_gpus else ""
    empty = "" if not metric.empty or _SAID_ABOVE.match(metric.empty) else f"; empty: {metric.empty}"
    return metric.meaning + several + empty


def trace_schema() -> str:
    """The trace's schema as it is, with the keys of a stage from the rows."""
    schema = json.loads((ROOT / _TRACE_SCHEMA).read_text("utf-8"))
    in_trace = [metric for metric in OF_STAGES if metric.trace]
    schema["definitions"]["stage"] = {
        "type": "object",
        "additionalProperties": False,
        "required": [metric.key for metric in in_trace if metric.trace == REQUIRED],
        "properties": {metric.key: _property(metric) for metric in in_trace},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _property(metric: Metric) -> dict[str, Any]:
    if not {"const", "enum"}.isdisjoint(metric.schema):
        return dict(metric.schema)
    kind = _JSON_TYPES[metric.type]
    least = {"minimum": 0} if kind in ("integer", "number") else {}
    return {"type": [kind, "null"] if metric.trace == NULLABLE else kind} | least | dict(metric.schema)


# One function a file. Other files' functions may change other parts of the schema: each reads what is there.
GENERATED = {"docs/tables.md": tables_page, _TRACE_SCHEMA: trace_schema}


def main(check: bool) -> int:
    """Number of files that were not as they should be."""
    changed = [path for path, text in GENERATED.items() if (ROOT / path).read_text("utf-8") != text()]
    for path in [] if check else changed:
        (ROOT / path).write_text(GENERATED[path](), "utf-8")
    for path in changed:
        print(f"{path}: {'differs from the registry' if check else 'written'}")
    return len(changed) if check else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
