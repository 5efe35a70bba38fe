"""How every picture looks: one size, one font, and colours that stay apart for the colour-blind and in greyscale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

WIDTH_IN = 9.0
DPI = 100
_LEGEND_COLUMNS = 4

# A user's own matplotlibrc must not change the report's pictures.
matplotlib.rcdefaults()
matplotlib.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.6,
        "figure.dpi": DPI,
        "savefig.dpi": DPI,
        # The same figures give the same bytes.
        "svg.hashsalt": "wanbench",
        # Text in an SVG can be searched, copied and read aloud.
        "svg.fonttype": "none",
        # The name of a GPU is shown as it is, whatever signs are in it.
        "text.parse_math": False,
    }
)


@dataclass(frozen=True)
class Look:
    """How a kind of thing is filled, and what it is called in a legend."""

    label: str
    colour: str
    hatch: str = ""

    @property
    def fill(self) -> dict[str, str | float]:
        """Keywords for matplotlib. White edges part neighbours; a hatch has the colour of its edge, and so is dark."""
        edge = "black" if self.hatch else "white"
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": edge, "linewidth": 0.4}


# The colours of Okabe and Ito, with greys.
BLACK, ORANGE, SKY, GREEN, YELLOW = "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE, GREY, PALE = "#0072B2", "#D55E00", "#CC79A7", "#999999", "#E5E5E5"

STARTUP = Look("process start-up", PALE)
INITIALISATION = Look("initialisation", GREY, "++")
ENCODING = Look("preprocessing and text encoding", PURPLE, "----")
COMPILATION = Look("compilation", YELLOW, "xxxx")
LOADING = Look("loading in steps", VERMILION, "//////")
TRANSFER = Look("weight transfers outside the steps", "#F6CDB0", "////")
DENOISING = Look("denoising", BLUE)
HIGH_NOISE = Look("denoising (high-noise expert)", BLUE)
LOW_NOISE = Look("denoising (low-noise expert)", SKY)
DECODING = Look("VAE decoding", GREEN, "||||")
EXPORT = Look("video export", ORANGE, "\\\\\\\\")
FURTHER = Look("further generations", "#FFFFFF", "+")
UNACCOUNTED = Look("unaccounted", BLACK)


def new_figure(height_in: float, title: str) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, height_in))
    figure.text(0.1 / WIDTH_IN, 1 - 0.1 / height_in, title, fontsize=11, fontweight="bold", va="top")
    return figure


def place(figure: Figure, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
    """Axes at a place given in inches from the upper left corner, where text has room whatever the figure's height."""
    height = figure.get_figheight()
    return figure.add_axes(
        (left_in / WIDTH_IN, 1 - (top_in + height_in) / height, width_in / WIDTH_IN, height_in / height)
    )


def legend_height_in(count: int) -> float:
    return 0.19 * math.ceil(count / _LEGEND_COLUMNS)


def legend(figure: Figure, looks: Sequence[Look], top_in: float, others: Sequence[Artist] = ()) -> None:
    """The meaning of fills and of other marks, above what they stand for."""
    figure.legend(
        handles=[*(Patch(label=look.label, **look.fill) for look in looks), *others],
        loc="upper left",
        bbox_to_anchor=(0.1 / WIDTH_IN, 1 - top_in / figure.get_figheight()),
        ncols=_LEGEND_COLUMNS,
        borderaxespad=0,
        borderpad=0,
        handlelength=2.4,
        handleheight=1.1,
        labelspacing=0.45,
    )


def rounded(value: float) -> str:
    """A figure with about three digits, as far as an eye compares pictures."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def shortened(name: str, most: int) -> str:
    """A name that fits: its middle gives way, since names of one grid often begin alike or end alike."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[-end:]}"
