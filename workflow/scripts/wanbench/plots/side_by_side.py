"""A frame of a case whose settings are lossy beside the same frame of its baseline, and how they differ."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from wanbench.analysis.fidelity import kept_numbers, read_frame
from wanbench.analysis.tables import TableRow
from wanbench.plots.picture import WORDS, Picture
from wanbench.plots.style import WIDTH_IN, new_figure
from wanbench.registry.settings import LOSSY

_MOST_PX = 240  # of a frame's longer side; a page must hold as many cases as a grid has


def side_by_side(case: TableRow, frames: Path) -> Picture | None:
    """The kept frame that differs most; None where settings are not lossy, frames are equal, or not there.

    Args:
        case: its row of the cases table, with what is known of its video.
        frames: folder with the kept frames of each case.
    """
    psnr_db = case["psnr_db"]
    if case["difference"] != LOSSY or psnr_db is None or math.isinf(psnr_db):
        return None
    folders = [frames / name for name in (case["case"], case["baseline"])]
    numbers = set.intersection(*(set(kept_numbers(folder)) for folder in folders))
    pairs = {number: [read_frame(folder, number).astype(np.int16) for folder in folders] for number in numbers}
    if not pairs:
        return None
    number, (own, other) = max(pairs.items(), key=lambda pair: np.square(pair[1][0] - pair[1][1], dtype=np.int64).sum())
    apart = np.abs(own - other).max(axis=2, keepdims=True)
    times = 255 / max(1, apart.max())
    images = {
        f"baseline: {case['baseline']}": other,
        case["case"]: own,
        f"difference, {times:.0f} times": np.repeat(apart * times, 3, axis=2),
    }
    # A tall video is as high as a square one.
    height_in = WIDTH_IN / len(images) * min(1.0, own.shape[0] / own.shape[1])
    figure = new_figure(f"Frame {number} beside that of {case['baseline']}", height_in + 0.3)
    for axes, (label, image) in zip(figure.subplots(1, len(images)), images.items()):
        small = Image.fromarray(image.astype(np.uint8))
        small.thumbnail((_MOST_PX, _MOST_PX), Image.Resampling.LANCZOS, reducing_gap=None)
        axes.imshow(small, interpolation="none")
        axes.set_axis_off()
        axes.set_title(label, loc="left", fontsize=8)
    return Picture(figure, WORDS.side_by_side(case, number))
