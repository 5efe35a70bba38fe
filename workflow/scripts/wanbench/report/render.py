"""Texts of a report: templates, which hold all words, and how they write figures and lay them out in tables."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wanbench.analysis.numbers import FILTERS, NOT_MEASURED, escaped_but_code, gb, plain, some, with_unit
from wanbench.analysis.tables import TableRow, guidance_text
from wanbench.compare.sides import WORDS
from wanbench.models.facts import MODELS
from wanbench.registry.metrics import shown_in
from wanbench.registry.policies import ON_CPU_TIMES
from wanbench.util.text import visible

_WIDEST = 240


def markdown_table(rows: Sequence[Mapping[str, str]], text_columns: Sequence[str] | None = None) -> str:
    """A Markdown table of texts; columns that `text_columns` does not name are numbers and stand to the right.

    Columns line up where that leaves lines that a screen can show.
    """
    frame = pd.DataFrame(rows)
    sides = ["left" if text_columns is None or name in text_columns else "right" for name in frame]
    # Numbers are texts already, with their decimals.
    text = frame.to_markdown(index=False, disable_numparse=True, colalign=sides)
    return text if len(text.partition("\n")[0]) <= _WIDEST else _without_padding(text)


def compact_table(rows: Sequence[Mapping[str, str]], text_columns: Sequence[str]) -> str:
    """The same without the blanks that make columns line up: of a long report they are a third."""
    return _without_padding(markdown_table(rows, text_columns))


def _without_padding(table: str) -> str:
    return re.sub(r" {2,}", " ", re.sub(r"-{4,}", "---", table))


def without_empty(rows: Sequence[Mapping[str, str]], kept: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows without the columns that are n/a or empty in all of them, but for those that are kept in any case."""
    said = {key for row in rows for key, text in row.items() if key in kept or text not in ("", NOT_MEASURED)}
    return [{key: text for key, text in row.items() if key in said} for row in rows]


def percent(share: float | None) -> str:
    """A share in percent, with two digits where it is less than a tenth."""
    if share is None or pd.isna(share):
        return NOT_MEASURED
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"


def without_equal(rows: Sequence[Mapping[str, str]], *columns: str) -> list[dict[str, str]]:
    """Rows without those of the columns that have the same text in all of them."""
    equal = {key for key in columns if len({row[key] for row in rows}) < 2}
    return [{key: text for key, text in row.items() if key not in equal} for row in rows]


def spread_of(way: TableRow, alike_pct: float) -> float:
    """Half the range of the times of equal cases, as a share of their median; of one, what equal ones differ by."""
    if way["n"] < 2:
        return alike_pct / 100
    return float((way["time_max_s"] - way["time_min_s"]) / 2 / way["time_s"])


def supported(value: Any, spread: float) -> str:
    """A figure with as many digits as a relative spread supports: 108.18 with 2.5 % is 108."""
    if pd.isna(value):
        return NOT_MEASURED
    decimals = -math.floor(math.log10(abs(value) * max(spread, 1e-3))) if value else 0
    return f"{round(float(value), decimals):.{max(decimals, 0)}f}"


TEMPLATES = Path(__file__).with_name("templates")
# `do` is for rows of tables, which a template appends to a list.
ENVIRONMENT = Environment(
    extensions=["jinja2.ext.do"],
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ENVIRONMENT.filters |= FILTERS | {
    "code": escaped_but_code,
    "compact": compact_table,
    "difference": lambda found: WORDS.difference(**found),
    "guidance": lambda scales: guidance_text(scales, is_on=True),
    # Without its unit.
    "gb_of": gb,
    "percent": percent,
    "some": some,
    "spread": spread_of,
    "supported": supported,
    # An arrow between two values needs no entity.
    "shown": lambda text: plain(text).replace("-&gt;", "->"),
    "table": markdown_table,
    "unit": with_unit,
    "visible": visible,
    "without_empty": without_empty,
    "without_equal": without_equal,
}
ENVIRONMENT.tests["known"] = lambda value: not pd.isna(value)
ENVIRONMENT.globals |= {"infinite": math.inf, "meaning_in": shown_in, "models": MODELS, "on_cpu_times": ON_CPU_TIMES}


def rendered(template: str, **values: Any) -> str:
    """A template, named as its file."""
    return ENVIRONMENT.get_template(template).render(values)
