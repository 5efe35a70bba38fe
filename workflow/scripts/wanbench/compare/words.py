"""What a comparison says: the macros of words.j2, as functions."""

from pathlib import Path

from jinja2 import Environment, StrictUndefined

_TEMPLATE = Path(__file__).with_name("words.j2").read_text("utf-8")
WORDS = Environment(undefined=StrictUndefined, trim_blocks=True).from_string(_TEMPLATE).module
