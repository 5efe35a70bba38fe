"""A picture with the words that go with it, and how it becomes files."""

import base64
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from wanbench.plots.style import DPI, new_figure
from wanbench.registry.stages import OK
from wanbench.trace.writer import write_atomically

# Without a date and a version the same figures give the same bytes.
_METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
# Agg draws no more than 2**16 pixels a side; a grid of thousands of cases is then drawn smaller.
_MOST_PIXELS = 65_000


@dataclass(frozen=True)
class Picture:
    """A drawn picture.

    Attributes:
        alt: what it shows, with its main figures, in a sentence for those who cannot see it.
        caption: how to read it; empty where there was nothing to draw, which `alt` explains by itself.
    """

    figure: Figure
    alt: str
    caption: str


def case_title(case: Mapping[str, Any]) -> str:
    """The name of a case, and how it ended where that was not well."""
    if case["status"] == OK:
        return case["case"]
    reached = f" in {case['stage_reached']}" if case["stage_reached"] else ""
    return f"{case['case']} (ended with status {case['status']}{reached})"


def notice(title: str, text: str) -> Picture:
    """A small picture in place of one for which nothing was measured; the workflow needs a file either way."""
    lines = textwrap.wrap(text, 120)
    figure = new_figure(0.55 + 0.17 * len(lines), title)
    figure.text(0.1 / figure.get_figwidth(), 1 - 0.4 / figure.get_figheight(), "\n".join(lines), va="top")
    return Picture(figure, f"{title}: {text}", "")


def save(pictures: Mapping[str, Picture], case: str | None, folder: Path) -> None:
    """Each picture as SVG and PNG, and in `pictures.json` the words of all, with the PNG for a page to show.

    A page is given that one file a case: a job on another machine finds only what it was given.

    Args:
        pictures: by the stem of their files.
        case: the case that they are of; None for those of a whole grid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for stem, picture in pictures.items():
        dpi = min(DPI, _MOST_PIXELS / max(picture.figure.get_size_inches()))
        for kind, metadata in _METADATA.items():
            picture.figure.savefig(folder / f"{stem}.{kind}", dpi=dpi, metadata=metadata)
        png = base64.b64encode((folder / f"{stem}.png").read_bytes()).decode("ascii")
        width, height = picture.figure.get_size_inches()
        words = {"file": stem, "case": case, "alt": picture.alt, "caption": picture.caption}
        entries.append(words | {"tall": bool(height > width), "png_base64": png})
    write_atomically(folder / "pictures.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
