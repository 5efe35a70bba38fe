"""Texts of a report: templates, which hold all words, and the figures that they show."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wanbench.analysis.numbers import FILTERS, escaped_but_code, gb, plain, some, with_unit
from wanbench.analysis.tables import guidance_text
from wanbench.compare.sides import WORDS
from wanbench.models.facts import MODELS
from wanbench.registry.metrics import shown_in
from wanbench.registry.policies import ON_CPU_TIMES
from wanbench.report.cells import (
    compact_table,
    markdown_table,
    percent,
    spread_of,
    supported,
    without_empty,
    without_equal,
)
from wanbench.util.text import visible

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
