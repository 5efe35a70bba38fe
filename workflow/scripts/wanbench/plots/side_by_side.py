"""A frame of a case whose settings are lossy beside the same frame of its baseline, and how they differ."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wanbench.analysis.fidelity import kept_numbers, read_frame
from wanbench.plots.picture import WORDS, Picture, described
from wanbench.plots.style import WIDTH_IN, new_figure, place
from wanbench.registry.settings import LOSSY

# What a page can hold of as many cases as a grid has.
_WIDTH_PX = 240
_LEFT_IN, _GAP_IN, _TOP_IN = 0.1, 0.1, 0.62


def side_by_side(case: Mapping[str, Any], frames: Path) -> Picture | None:
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
    apart = np.abs(own - other).max(axis=2)
    times = 255 / max(1, apart.max())
    figure = _drawn(
        f"Frame {number} beside that of {case['baseline']}",
        {
            f"baseline: {case['baseline']}": other,
            case["case"]: own,
            f"difference, {times:.0f} times": np.repeat(apart[..., None] * times, 3, axis=2),
        },
    )
    return described(figure, WORDS.side_by_side(case, number))


def _drawn(title: str, images: Mapping[str, np.ndarray]) -> Any:
    width_in = (WIDTH_IN - 2 * _LEFT_IN - (len(images) - 1) * _GAP_IN) / len(images)
    rows, columns = next(iter(images.values())).shape[:2]
    # A tall video is as high as a square one.
    height_in = width_in * min(1.0, rows / columns)
    figure = new_figure(_TOP_IN + height_in + 0.1, title)
    for number, (label, image) in enumerate(images.items()):
        axes = place(figure, _LEFT_IN + number * (width_in + _GAP_IN), _TOP_IN, width_in, height_in)
        axes.imshow(_small(image), interpolation="none")
        axes.set_axis_off()
        axes.set_title(label, loc="left", fontsize=8)
    return figure


def _small(image: np.ndarray) -> np.ndarray:
    rows, columns = image.shape[:2]
    scale = min(1.0, _WIDTH_PX / max(rows, columns))
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    return np.asarray(Image.fromarray(image.astype(np.uint8)).resize(size, Image.Resampling.LANCZOS))
