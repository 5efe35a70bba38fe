"""What findings say, from the figures of a rule and the file of texts."""

from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from wanbench.analysis.numbers import FILTERS
from wanbench.cases.yaml_file import read_yaml

_TEXTS = read_yaml(Path(__file__).with_name("texts.yaml"))
_TEMPLATES = {"say": _TEXTS.pop("say")} | {
    f"{rule} {part}": '{% import "say" as say with context %}' + text
    for rule, parts in _TEXTS.items()
    for part, text in parts.items()
}
_ENVIRONMENT = Environment(loader=DictLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True)
_ENVIRONMENT.filters |= FILTERS | {
    "pct": lambda share_pct, decimals=0: f"{share_pct:.{decimals}f} %",
    "code": lambda settings: " and ".join(f"`{setting}`" for setting in settings),
    "capitalized": lambda text: text[0].upper() + text[1:],
}


def explanation_of(rule: str) -> str:
    """What a rule means and when it fires, with the names of its thresholds; for readers."""
    return _TEXTS[rule]["explanation"]


def sentence_of(rule: str, part: str, figures: dict[str, Any]) -> str:
    """What a finding says: its part "text", what was found, or "advice", what to do, which may be empty.

    Raises:
        jinja2.UndefinedError: the sentence names a figure that is not there.
    """
    return " ".join(_ENVIRONMENT.get_template(f"{rule} {part}").render(figures).split())
