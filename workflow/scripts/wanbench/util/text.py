"""Text from outside (a prompt, a message of other software, a trace made by hand) as text that does nothing.

Control characters can recolour and rewrite a terminal, bidirectional overrides can make a line read otherwise than it
is, and a megabyte of prompt can bury a report.
"""

import json
from collections.abc import Callable
from unicodedata import category

_MOST_CHARACTERS = 1000
# Line breaks and tabs lay text out; joiners are parts of letters and of emoji.
_HARMLESS = "\n\t\u200c\u200d"


def visible(text: str) -> str:
    """The text with each character that would act or hide written as its escape, such as \\x1b or \\u202e.

    Line breaks, tabs and blanks of all kinds stay. Lone surrogates, which no file can hold, are escaped as well.
    """
    return _escaped(text, lambda character: character.encode("unicode_escape").decode("ascii"))


def cut(text: str, most: int) -> str:
    """The text, or its first `most` characters with its length said."""
    return text if len(text) <= most else f"{text[:most]}… (the first {most:,} of {len(text):,} characters)"


def one_line(text: str, most: int = _MOST_CHARACTERS) -> str:
    """The text on one line, cut and visible."""
    return visible(cut(" ".join(text.split()), most))


def escape_in_json(text: str) -> str:
    """JSON text with the same content, in which what `visible` would escape stands as \\u and its number."""
    return "\n".join(_escaped(line, lambda character: json.dumps(character)[1:-1]) for line in text.split("\n"))


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _HARMLESS or category(c) == "Zs" else escape(c) for c in text)
