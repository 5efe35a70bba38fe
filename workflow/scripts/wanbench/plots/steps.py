"""The time of each denoising step of a case."""

from functools import partial

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wanbench.analysis.tables import TableRow, TableRows
from wanbench.plots import style
from wanbench.plots.picture import WORDS, Picture
from wanbench.plots.segments import kind_of, look_of
from wanbench.registry import stages as stage_names

_OF_STEP = {"measured": "first", "kind": "first", "interrupted": "any", "look": "last"}
_OF_STEP |= {"time_s": "sum", "loading_s": "sum", "inference_s": "sum"}


def steps_of(stages: TableRows, warmup: int) -> pd.DataFrame:
    """One row for each step that ran to its end in a generation: its time, of it loading, and what it is of.

    `shown` are those of the measured generations, or of the others where there are none.
    """
    parts = []
    for stage in stages:
        if (number := stage_names.step_index(stage["stage"])) is not None:
            loading_s = stage["time_s"] if stage_names.is_step_loading(stage["stage"]) else 0.0
            times = {"loading_s": loading_s, "inference_s": stage["time_s"] - loading_s}
            look = look_of(stage_names.step_inference(number), stage["expert"])
            known = {"step": number, "kind": kind_of(stage, warmup), "interrupted": bool(stage["interrupted"])}
            parts.append(stage | times | known | {"look": look})
    by = ["step", "generation"]
    steps = pd.DataFrame(parts, columns=[*by, *_OF_STEP]).groupby(by, as_index=False).agg(_OF_STEP)
    steps = steps[~steps["interrupted"].astype(bool)]
    measured = steps["measured"].astype(bool)
    return steps.assign(shown=measured if measured.any() else ~measured)


def bars_of(steps: pd.DataFrame) -> pd.DataFrame:
    """Medians of each step over the generations that are shown."""
    shown = steps[steps["shown"]].groupby("step")
    return shown[["time_s", "loading_s", "inference_s"]].median().assign(look=shown["look"].first())


def step_times(case: TableRow, stages: TableRows) -> Picture | None:
    """A bar for each step, with the median that the report gives as s/step; None where no step ran to its end.

    Args:
        case, stages: its rows of the tables, None for what was not measured.
    """
    steps = steps_of(stages, case["warmup"])
    if steps.empty:
        return None
    bars = bars_of(steps)
    looks = [*bars["look"].unique(), *([style.LOADING] if bars["loading_s"].any() else [])]
    marks = _marks(case, steps)
    axes = style.new_figure(f"{WORDS.heading(case)}: time of each step", 3.0, looks, marks).subplots()
    for look, of_look in bars.groupby("look", sort=False):
        axes.bar(of_look.index, of_look["inference_s"], 0.85, **look.fill)
    loaded = bars[bars["loading_s"] > 0]
    axes.bar(loaded.index, loaded["loading_s"], 0.85, loaded["inference_s"], **style.LOADING.fill)
    for mark in marks:
        axes.add_line(mark)
    if case["step_s"] is not None:
        axes.axhline(case["step_s"], color=style.BLACK, linestyle="--", linewidth=1)
    axes.set_xlim(bars.index[0] - 0.75, bars.index[-1] + 0.75)
    axes.set_ylim(0, 1.05 * max(bars["time_s"].max(), steps["time_s"].max()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(False, axis="x")
    axes.set(xlabel="Step (from 0, as in the names of stages)", ylabel="Time of the step (s)")
    return Picture(axes.figure, WORDS.steps(case, len(bars)))


def _marks(case: TableRow, steps: pd.DataFrame) -> list[Line2D]:
    """Single generations, where there are several, and where the time of steps changed."""
    marks, shown, others = [], steps[steps["shown"]], steps[~steps["shown"]]
    mark = partial(Line2D, color=style.BLACK)
    if shown["step"].duplicated().any():
        look = {"linestyle": "", "marker": "D", "markersize": 4, "markeredgecolor": "white"}
        marks.append(mark(shown["step"], shown["time_s"], label="each measured generation", **look))
    if len(others):
        look = {"linestyle": "", "marker": "o", "markersize": 5, "markerfacecolor": "white"}
        kinds = " or ".join(sorted(others["kind"].unique(), reverse=True))
        marks.append(mark(others["step"], others["time_s"], label=f"{kinds} generation", **look))
    if case["step_change_at"] is not None:
        at, highest_s = case["step_change_at"] - 0.5, 2 * steps["time_s"].max()
        look = {"linestyle": "-.", "linewidth": 1.2}
        marks.append(mark([at, at], [0, highest_s], label="change of step time", **look))
    return marks
