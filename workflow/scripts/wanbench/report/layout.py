"""How the report lays out rows and figures in Markdown."""

from collections.abc import Collection

import pandas as pd

from wanbench.analysis.numbers import NOT_MEASURED


def markdown_table(rows: list[dict[str, str]] | pd.DataFrame, text_columns: Collection[str]) -> str:
    """A Markdown table of texts; columns not named in `text_columns` are numbers and stand to the right."""
    frame = pd.DataFrame(rows)
    sides = ["left" if name in text_columns else "right" for name in frame]
    # Numbers are texts already, with their decimals.
    return frame.to_markdown(index=False, disable_numparse=True, colalign=sides)


def with_unit(value: str, unit: str) -> str:
    """A figure with its unit; n/a has none."""
    return value if value == NOT_MEASURED or not unit else f"{value} {unit}"
