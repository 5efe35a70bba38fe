"""The time of each denoising step of a case."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture, described, notice
from wanbench.plots.segments import StageRow, kind_of, look_of
from wanbench.registry import stages as stage_names

CaseRow = Mapping[str, Any]
_COLUMNS = ("step", "generation", "measured", "kind", "interrupted", "expert", "time_s", "loading_s")


def steps_of(stages: Sequence[StageRow], warmup: int) -> pd.DataFrame:
    """One row for each step that ran to its end in a generation: its time, of it loading, and what it is of.

    `shown` are those of the measured generations, or of the others where there are none.
    """
    parts = [
        stage
        | {"step": stage_names.step_index(stage["stage"]), "kind": kind_of(stage, warmup)}
        | {"loading_s": stage["time_s"] if stage_names.is_step_loading(stage["stage"]) else 0.0}
        | {"expert": stage["expert"] or "", "interrupted": bool(stage["interrupted"])}
        for stage in stages
        if stage_names.step_index(stage["stage"]) is not None
    ]
    whole = {"measured": "first", "kind": "first", "interrupted": "any", "expert": "last"}
    steps = pd.DataFrame(parts, columns=_COLUMNS).groupby(["step", "generation"], as_index=False)
    steps = steps.agg(whole | {"time_s": "sum", "loading_s": "sum"})
    steps = steps[~steps["interrupted"].astype(bool)]
    measured = steps["measured"].astype(bool)
    return steps.assign(shown=measured if measured.any() else ~measured)


def bars_of(steps: pd.DataFrame) -> pd.DataFrame:
    """Medians of each step over the generations that are shown."""
    shown = steps[steps["shown"]].assign(inference_s=lambda step: step["time_s"] - step["loading_s"])
    medians = shown.groupby("step")[["time_s", "loading_s", "inference_s"]].median()
    return medians.assign(expert=shown.groupby("step")["expert"].first())


def step_times(case: CaseRow, stages: Sequence[StageRow]) -> Picture:
    """A bar for each step, with the median that the report gives as s/step.

    Args:
        case, stages: its rows of the tables, None for what was not measured.
    """
    title = f"{WORDS.heading(case)}: time of each step"
    steps = steps_of(stages, case["warmup"])
    if steps.empty:
        return notice(title, WORDS.NO_STEP)
    bars = bars_of(steps)
    looks = [look_of(stage_names.step_inference(0), expert) for expert in bars["expert"].unique()]
    looks += [style.LOADING] if bars["loading_s"].any() else []
    marks = _marks(case, steps)
    top_in = 0.5 + style.legend_height_in(len(looks) + len(marks))
    figure = style.new_figure(top_in + 3.0, title)
    axes = style.place(figure, 0.75, top_in, 8.1, 2.5)
    _draw_bars(axes, bars)
    for mark in marks:
        axes.add_line(mark)
    if case["step_s"] is not None:
        axes.axhline(case["step_s"], color=style.BLACK, linestyle="--", linewidth=1)
    axes.set_ylim(0, 1.05 * max(bars["time_s"].max(), steps["time_s"].max()))
    style.legend(figure, looks, 0.4, marks)
    return described(figure, WORDS.steps(case, len(bars)))


def _marks(case: CaseRow, steps: pd.DataFrame) -> list[Line2D]:
    """Single generations, where there are several, and where the time of steps changed."""
    marks, shown, others = [], steps[steps["shown"]], steps[~steps["shown"]]
    common = {"linestyle": "", "color": style.BLACK}
    if shown["step"].duplicated().any():
        look = common | {"marker": "D", "markersize": 4, "markeredgecolor": "white"}
        marks.append(Line2D(shown["step"], shown["time_s"], label="each measured generation", **look))
    if len(others):
        look = common | {"marker": "o", "markersize": 5, "markerfacecolor": "white"}
        kinds = " or ".join(sorted(others["kind"].unique(), reverse=True))
        marks.append(Line2D(others["step"], others["time_s"], label=f"{kinds} generation", **look))
    if case["step_change_at"] is not None:
        at, highest_s = case["step_change_at"] - 0.5, 2 * steps["time_s"].max()
        look = {"color": style.BLACK, "linestyle": "-.", "linewidth": 1.2}
        marks.append(Line2D([at, at], [0, highest_s], label="change of step time", **look))
    return marks


def _draw_bars(axes: Axes, bars: pd.DataFrame) -> None:
    for expert, of_expert in bars.groupby("expert"):
        look = look_of(stage_names.step_inference(0), expert)
        axes.bar(of_expert.index, of_expert["inference_s"], 0.85, **look.fill)
    loading = bars[bars["loading_s"] > 0]
    axes.bar(loading.index, loading["loading_s"], 0.85, loading["inference_s"], **style.LOADING.fill)
    axes.set_xlim(bars.index[0] - 0.75, bars.index[-1] + 0.75)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(False, axis="x")
    axes.set_xlabel("Step (from 0, as in the names of stages)")
    axes.set_ylabel("Time of the step (s)")
