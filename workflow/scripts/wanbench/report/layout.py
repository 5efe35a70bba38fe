"""How the report lays out rows and figures in Markdown."""

from collections.abc import Iterable

from wanbench.analysis.numbers import NOT_MEASURED


def table(rows: list[dict[str, str]], text_columns: Iterable[str]) -> str:
    """A Markdown table; columns not named in `text_columns` are numbers and stand to the right.

    Args:
        rows: of the same columns, and of lines without line breaks.
    """
    columns = [_column(name, [row[name] for row in rows], name in text_columns) for name in rows[0]]
    return "\n".join(f"|{'|'.join(cells)}|" for cells in zip(*columns))


def _column(name: str, cells: list[str], is_text: bool) -> list[str]:
    """A column from top to bottom, each cell as wide as all others."""
    # The name stands apart from those beside it where the cells are short.
    width = max(len(name) + 2, *map(len, cells))
    rule = f":{'-' * (width + 1)}" if is_text else f"{'-' * (width + 1)}:"
    if is_text:
        return [f" {name:<{width}} ", rule, *(f" {cell:<{width}} " for cell in cells)]
    return [f" {name:>{width}} ", rule, *(f" {cell:>{width}} " for cell in cells)]


def with_unit(value: str, unit: str) -> str:
    """A figure with its unit; n/a has none."""
    return value if value == NOT_MEASURED or not unit else f"{value} {unit}"
