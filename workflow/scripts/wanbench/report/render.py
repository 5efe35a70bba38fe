"""The report as Markdown: templates that show the view."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wanbench.analysis.numbers import escaped_but_code, fixed, gigabytes, plain
from wanbench.report.cells import markdown_table, with_unit
from wanbench.report.view import View

TEMPLATES = FileSystemLoader(Path(__file__).with_name("templates"))


def to_markdown(view: View) -> str:
    """The text of the file, in the form of the reference report: its headings, tables, columns and order."""
    return rendered("report.md.j2", view=view)


def section(view: View, name: str, **values: Any) -> str:
    """One of the templates that the report consists of, as Markdown."""
    return rendered(f"{name}.md.j2", view=view, **values)


def rendered(template: str, **values: Any) -> str:
    """A template, named as its file."""
    return _environment().get_template(template).render(values)


def shown(text: object) -> str:
    """Text as Markdown shows it as it is, but for the arrow between two values, which needs no entity."""
    return plain(text).replace("-&gt;", "->")


def _environment() -> Environment:
    environment = Environment(
        loader=TEMPLATES, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "fixed": fixed,
        "gb": lambda size_bytes: with_unit(gigabytes(size_bytes), "GB"),
        "s": lambda time_s: with_unit(fixed(time_s), "s"),
        "plain": plain,
        "shown": shown,
        "code": escaped_but_code,
        "table": lambda rows, text_columns=None: markdown_table(rows, text_columns or list(rows[0])),
    }
    environment.tests["known"] = lambda value: not pd.isna(value)
    return environment
