"""How every picture looks: one size, one font, and colours that stay apart for the colour-blind and in greyscale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

WIDTH_IN = 9.0
_LEGEND_COLUMNS = 4

# A user's own matplotlibrc must not change the report's pictures.
matplotlib.rcdefaults()
matplotlib.rc("font", size=9)
matplotlib.rc("axes", titlesize=10, axisbelow=True, grid=True)
matplotlib.rc("axes.spines", top=False, right=False)
matplotlib.rc(("xtick", "ytick"), labelsize=8)
matplotlib.rc("legend", fontsize=8, frameon=False, loc="upper left", borderaxespad=0)
matplotlib.rc("grid", color="#DDDDDD", linewidth=0.6)
matplotlib.rc("hatch", linewidth=0.6)
# The same figures give the same bytes. Text in an SVG can be searched, copied and read aloud.
matplotlib.rc("svg", hashsalt="wanbench", fonttype="none")
# The name of a GPU is shown as it is, whatever signs are in it.
matplotlib.rc("text", parse_math=False)


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
BLUE, VERMILION, PURPLE, GREY, PALE, PEACH = "#0072B2", "#D55E00", "#CC79A7", "#999999", "#E5E5E5", "#F6CDB0"

STARTUP = Look("process start-up", PALE)
INITIALISATION = Look("initialisation", GREY, "++")
ENCODING = Look("preprocessing and text encoding", PURPLE, "----")
COMPILATION = Look("compilation", YELLOW, "xxxx")
LOADING = Look("loading in steps", VERMILION, "//////")
TRANSFER = Look("weight transfers outside the steps", PEACH, "////")
DENOISING = Look("denoising", BLUE)
HIGH_NOISE = Look("denoising (high-noise expert)", BLUE)
LOW_NOISE = Look("denoising (low-noise expert)", SKY)
DECODING = Look("VAE decoding", GREEN, "||||")
EXPORT = Look("video export", ORANGE, "\\\\\\\\")
FURTHER = Look("further generations", "#FFFFFF", "+")
UNACCOUNTED = Look("unaccounted", BLACK)


def new_figure(title: str, below_in: float, looks: Sequence[Look] = (), marks: Sequence[Artist] = ()) -> Figure:
    """A figure with its title and the meaning of fills and of other marks, which lays out by itself what is put in it.

    Args:
        below_in: height of what comes below the title and the meanings.
    """
    handles = [*(Patch(label=look.label, **look.fill) for look in looks), *marks]
    above_in = 0.4 + 0.19 * math.ceil(len(handles) / _LEGEND_COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, above_in + below_in), layout="constrained")
    heading = {"title": title, "title_fontproperties": {"size": 11, "weight": "bold"}, "alignment": "left"}
    sizes = {"handlelength": 2.4, "handleheight": 1.1, "labelspacing": 0.45}
    figure.legend(handles=handles, loc="outside upper left", ncols=_LEGEND_COLUMNS, **heading, **sizes)
    return figure


def rounded(value: float) -> str:
    """A figure with about three digits, as far as an eye compares pictures."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{decimals}f}" if value >= 1 else f"{value:.3g}"


def shortened(name: str, most: int) -> str:
    """A name that fits: its middle gives way, since names of one grid often begin alike or end alike."""
    end = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - end]}…{name[-end:]}"
