"""How the report lays out rows and figures in Markdown."""

from collections.abc import Iterable

from tabulate import tabulate

from wanbench.report.numbers import NOT_MEASURED


def table(rows: list[dict[str, str]], text_columns: Iterable[str]) -> str:
    """A Markdown table; columns not named in `text_columns` are numbers and stand to the right."""
    columns = list(rows[0])
    align = ["left" if column in text_columns else "right" for column in columns]
    cells = [list(row.values()) for row in rows]
    return tabulate(cells, columns, tablefmt="pipe", colalign=align, disable_numparse=True)


def with_unit(value: str, unit: str) -> str:
    """A figure with its unit; n/a has none."""
    return value if value == NOT_MEASURED or not unit else f"{value} {unit}"
