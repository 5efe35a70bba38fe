"""Which kernels a profiled step and a decoding consist of, as shares of their time."""

from collections.abc import Mapping, Sequence
from typing import Any

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
# Thinner than a line of the picture.
_LEAST_PCT = 0.1


def kernel_bars(case: Mapping[str, Any], kernels: Sequence[Mapping[str, Any]]) -> Picture | None:
    """A bar for the step and one for the decoding; None for a case without a profile.

    Args:
        kernels: its rows of the kernels table.
    """
    if not kernels:
        return None
    shown = [row for row in kernels if row["share_pct"] >= _LEAST_PCT]
    keys = [key for key in _LOOKS if key in {row["class"] for row in shown}]
    stages = list(dict.fromkeys(row["stage"] for row in kernels))
    title = f"{WORDS.heading(case)}: kernels"
    top_in = 0.5 + style.legend_height_in(len(keys))
    figure = style.new_figure(top_in + 1.6, title)
    axes = style.place(figure, 1.6, top_in, 7.2, 1.1)
    ends_pct = dict.fromkeys(stages, 0.0)
    for key in keys:
        for row in (row for row in shown if row["class"] == key):
            axes.barh(row["stage"], row["share_pct"], 0.6, ends_pct[row["stage"]], **_LOOKS[key].fill)
            ends_pct[row["stage"]] += row["share_pct"]
    times_s = {row["stage"]: row["profiled_s"] for row in kernels}
    axes.set_yticks(range(len(stages)), [f"{stage} ({times_s[stage]:.3g} s)" for stage in stages])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(0, max(100.0, *ends_pct.values()))
    axes.set_xlabel("Share of the time (%)")
    style.legend(figure, [_LOOKS[key] for key in keys], 0.4)
    ascending = sorted(shown, key=lambda row: row["share_pct"])
    largest = {row["stage"]: (_LOOKS[row["class"]].label, row["share_pct"]) for row in ascending}
    return described(figure, WORDS.kernels(case, {stage: largest[stage] for stage in stages}))
