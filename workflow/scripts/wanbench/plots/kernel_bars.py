"""Which kernels a profiled step and a decoding consist of, as shares of their time."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from wanbench.analysis.tables import CaseRow
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, described
from wanbench.plots.style import Look
from wanbench.registry.kernel_classes import KERNEL_CLASSES

_FILLS = {
    "attention": (style.BLUE, ""),
    "matmul": (style.SKY, ""),
    "matmul_float8": (style.SKY, "...."),
    "matmul_int8": (style.SKY, "xxxx"),
    "matmul_float32": (style.SKY, "////"),
    "convolution": (style.GREEN, "||||"),
    "elementwise": (style.ORANGE, ""),
    "copy": (style.VERMILION, "\\\\\\\\"),
    "transfer": ("#F6CDB0", "////"),
    "communication": (style.PURPLE, "----"),
    "other": (style.GREY, ""),
    "gaps": (style.PALE, ""),
}
_LOOKS = {key: Look(KERNEL_CLASSES.get(key, "no kernel"), *fill) for key, fill in _FILLS.items()}
_LEAST_PCT = 0.1  # thinner than a line of the picture


def kernel_bars(case: CaseRow, kernels: Sequence[Mapping[str, Any]]) -> Picture | None:
    """A bar for the step and one for the decoding; None for a case without a profile.

    Args:
        kernels: its rows of the kernels table.
    """
    if not kernels:
        return None
    table = pd.DataFrame(kernels)
    shares_pct = table.pivot(index="stage", columns="class", values="share_pct").reindex(columns=list(_LOOKS))
    shares_pct = shares_pct.where(shares_pct >= _LEAST_PCT, 0.0).rename(columns=_LOOKS)
    shares_pct = shares_pct.loc[:, shares_pct.any()]
    figure, top_in = style.new_figure(f"{WORDS.heading(case)}: kernels", 1.6, list(shares_pct))
    axes = style.place(figure, 1.6, top_in, 7.2, 1.1)
    times_s = table.groupby("stage")["profiled_s"].first()
    style.stacked_bars(axes, shares_pct, [f"{stage} ({time_s:.3g} s)" for stage, time_s in times_s.items()])
    axes.set_xlim(0, max(100.0, shares_pct.sum(axis=1).max()))
    axes.set_xlabel("Share of the time (%)")
    largest = {stage: (of_it.idxmax().label, of_it.max()) for stage, of_it in shares_pct.iterrows()}
    return described(figure, WORDS.kernels(case, largest))
