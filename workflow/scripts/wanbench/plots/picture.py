"""A picture with the words that go with it, and how it becomes files."""

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure
from PIL import Image

from wanbench.plots.style import new_figure, rounded
from wanbench.trace.writer import write_atomically

_ENVIRONMENT = Environment(undefined=StrictUndefined, trim_blocks=True)
_ENVIRONMENT.filters["rounded"] = rounded
# What pictures say: the macros of words.j2, as functions.
WORDS = _ENVIRONMENT.from_string(Path(__file__).with_name("words.j2").read_text("utf-8")).module


@dataclass(frozen=True)
class Picture:
    """A drawn picture, and what a macro says of it: the alternative text, and in the last line the caption."""

    figure: Figure
    words: str


@dataclass(frozen=True)
class SavedPicture:
    """A picture as an SVG.

    Attributes:
        alt: what it shows, in a sentence for those who cannot see it.
        caption: how to read it; empty where there was nothing to draw, which `alt` explains by itself.
    """

    svg: str
    alt: str
    caption: str


def notice(title: str, text: str) -> Picture:
    """A small picture in place of one for which nothing was measured; the workflow needs a file either way."""
    axes = new_figure(title, 0.32).subplots()
    axes.set_axis_off()
    axes.text(0, 0, text)
    return Picture(axes.figure, f"{title}: {text}\n")


def save(pictures: Mapping[str, Picture], folder: Path) -> list[SavedPicture]:
    """Each picture as an SVG file, which `snakemake --report` shows.

    Args:
        pictures: by the stem of their files.
    """
    saved = []
    for stem, picture in pictures.items():
        figure, text = picture.figure, io.StringIO()
        # Without a date and a version, and the last digits of the layout, the same figures give the same bytes.
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")
        for axes in figure.axes:
            axes.set_position([round(edge, 4) for edge in axes.get_position().bounds])
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
        # Images of pixels become JPEG: matplotlib has PNG alone, which takes several times as much for a photograph.
        svg = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _jpeg, _shortened(text.getvalue()))
        write_atomically(folder / f"{stem}.svg", svg)
        alt, _, caption = picture.words.rpartition("\n")
        saved.append(SavedPicture(svg, alt, caption))
    return saved


def _jpeg(png: re.Match[str]) -> str:
    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png[1]))).convert("RGB").save(file, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _shortened(svg: str) -> str:
    """With coordinates to a tenth of a point, which is what can be seen, and lines without a letter a point."""
    svg = re.sub(r"(?<=[ \"])(-?\d+\.\d)\d+", r"\1", svg)
    # Where there are no curves, each further pair of coordinates is the end of a line.
    return re.sub(r'd="([^"CQ]*)"', lambda path: f'd="{" ".join(path[1].replace("L ", "").split())}"', svg)
