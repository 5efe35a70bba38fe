"""Numbers and text as the report prints them."""

import math
from collections.abc import Sequence

import pandas as pd

from wanbench.util.text import one_line

NOT_MEASURED = "n/a"
# More names in a line say no more.
_MOST_NAMED = 20
# As entities, since a backslash does not keep HTML, a table's column border or a formula from being read as such.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "$": "&#36;"}
_ESCAPES = str.maketrans(_ENTITIES | {character: f"\\{character}" for character in "\\`*_{}[]#~"})


def fixed(value: float | None, decimals: int = 2, scale: float = 1.0) -> str:
    """A number with fixed decimals, or n/a where nothing was measured.

    A value that is not zero never prints as zero: it gets as many decimals as its first digit needs, so that
    0.0042 prints as 0.004.
    """
    if value is None or pd.isna(value) or not math.isfinite(shown := float(value) * scale):
        return NOT_MEASURED
    text = f"{shown:.{decimals}f}"
    if shown and float(text) == 0:
        return f"{shown:.{-math.floor(math.log10(abs(shown)))}f}"
    return text.removeprefix("-") if not shown else text


def gb(value_bytes: float | None, decimals: int = 1) -> str:
    """Bytes as GB (1e9 bytes)."""
    return fixed(value_bytes, decimals, 1e-9)


def plain(value: object) -> str:
    """Text from outside (a prompt, an error message) as one line, cut and visible, that Markdown shows as it is."""
    if value is None or pd.isna(value):
        return NOT_MEASURED
    return one_line(str(value)).translate(_ESCAPES)


def with_unit(text: str, unit: str) -> str:
    """A figure with its unit; n/a has none."""
    return text if text == NOT_MEASURED else f"{text} {unit}"


def some(names: Sequence[str], between: str = ", ") -> str:
    """Names in a line, of many the first and how many more there are."""
    more = len(names) - _MOST_NAMED
    return between.join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def escaped_but_code(text: str) -> str:
    """Our own text, escaped for Markdown but for what stands between backticks."""
    return "`".join(part if i % 2 else part.translate(_ESCAPES) for i, part in enumerate(text.split("`")))


# For templates: of findings, and of the report.
FILTERS = {
    "fixed": fixed,
    "gb": lambda size_bytes: with_unit(gb(size_bytes, 2), "GB"),
    "s": lambda time_s: with_unit(fixed(time_s), "s"),
    "plain": plain,
}
