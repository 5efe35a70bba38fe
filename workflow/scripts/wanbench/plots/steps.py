"""The time of each denoising step of a case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wanbench.plots import style
from wanbench.plots.picture import Picture, case_title, notice
from wanbench.plots.segments import StageRow, kind_of, look_of
from wanbench.plots.style import Look, rounded
from wanbench.registry import stages as stage_names

CaseRow = Mapping[str, Any]
_GENERATION = {"linestyle": "", "marker": "D", "markersize": 4, "color": style.BLACK, "markeredgecolor": "white"}
_OTHER = {"linestyle": "", "marker": "o", "markersize": 5, "color": style.BLACK, "markerfacecolor": "white"}


@dataclass(frozen=True)
class StepBar:
    """A step over the measured generations.

    Attributes:
        loading_s, inference_s: medians.
        marked: what is special about the step, as the picture names it; empty for most.
        times_s: of each measured generation; others_s: of each other one.
    """

    index: int
    loading_s: float
    inference_s: float
    look: Look
    marked: str
    times_s: tuple[float, ...]
    others_s: tuple[float, ...]


def bars_of(stages: Sequence[StageRow]) -> list[StepBar]:
    """One bar for each step that ran to its end; of generations that are not measured where there are no others."""
    measured, others = _times_of(stages, True), _times_of(stages, False)
    if not measured:
        measured, others = others, {}
    experts = {stage_names.step_index(stage["stage"]): stage["expert"] for stage in stages if stage["expert"]}
    bars = []
    for index, parts in sorted(measured.items()):
        switch = index > 0 and experts.get(index) != experts.get(index - 1)
        bars.append(
            StepBar(
                index=index,
                loading_s=median(loading_s for loading_s, _ in parts),
                inference_s=median(inference_s for _, inference_s in parts),
                look=look_of(stage_names.step_inference(index), experts.get(index)),
                marked="first" if index == 0 else "expert switch" if switch else "",
                times_s=tuple(map(sum, parts)),
                others_s=tuple(map(sum, others.get(index, []))),
            )
        )
    return bars


def _times_of(stages: Sequence[StageRow], measured: bool) -> dict[int, list[tuple[float, float]]]:
    """Loading and inference of each step in each generation that ran it to its end, by number of the step."""
    parts: dict[tuple[int, int], list[StageRow]] = {}
    for stage in stages:
        index = stage_names.step_index(stage["stage"])
        if index is not None and stage["measured"] is measured:
            parts.setdefault((index, stage["generation"]), []).append(stage)
    times: dict[int, list[tuple[float, float]]] = {}
    for (index, _), of_step in sorted(parts.items()):
        if not any(stage["interrupted"] for stage in of_step):
            loading_s = sum(stage["time_s"] for stage in of_step if stage_names.is_step_loading(stage["stage"]))
            whole_s = sum(stage["time_s"] for stage in of_step)
            times.setdefault(index, []).append((loading_s, whole_s - loading_s))
    return times


def step_times(case: CaseRow, stages: Sequence[StageRow]) -> Picture:
    """A bar for each step, with the median that the report gives as s/step.

    Args:
        case, stages: its rows of the tables, None for what was not measured.
    """
    title = f"{case_title(case)}: time of each step"
    bars = bars_of(stages)
    if not bars:
        return notice(title, "No denoising step ran to its end.")
    looks = list(dict.fromkeys(bar.look for bar in bars))
    looks += [style.LOADING] if any(bar.loading_s for bar in bars) else []
    marks = _marks(case, stages, bars)
    top_in = 0.5 + style.legend_height_in(len(looks) + len(marks))
    figure = style.new_figure(top_in + 3.0, title)
    axes = style.place(figure, 0.75, top_in, 7.2, 2.5)
    _draw_bars(axes, bars)
    for mark in marks:
        axes.add_line(mark)
    if case["step_s"] is not None:
        axes.axhline(case["step_s"], color=style.BLACK, linestyle="--", linewidth=1)
        label = f"{_kind(case).replace('typical ', '')}\n{rounded(case['step_s'])} s"
        place = (1.01, case["step_s"])
        axes.annotate(label, place, xycoords=("axes fraction", "data"), va="center", fontsize=8)
    style.legend(figure, looks, 0.4, marks)
    return Picture(figure, _alt(case, bars), _caption(case))


def _kind(case: CaseRow) -> str:
    """What s/step is of the steps; one is the median of nothing."""
    if case["typical_steps"] == 1:
        return "1 typical step"
    return "median" if case["cache"] == "none" else "mean"


def _marks(case: CaseRow, stages: Sequence[StageRow], bars: Sequence[StepBar]) -> list[Line2D]:
    """Single generations, where there are several, and where the time of steps changed."""
    marks = []
    if any(len(bar.times_s) > 1 for bar in bars):
        points = [(bar.index, time_s) for bar in bars for time_s in bar.times_s]
        marks.append(Line2D(*zip(*points), label="each measured generation", **_GENERATION))
    others = [(bar.index, time_s) for bar in bars for time_s in bar.others_s]
    if others:
        kinds = sorted({kind_of(stage, case["warmup"]) for stage in stages} - {""}, reverse=True)
        marks.append(Line2D(*zip(*others), label=f"{' or '.join(kinds)} generation", **_OTHER))
    if case["step_change_at"] is not None:
        at = case["step_change_at"] - 0.5
        look = {"color": style.BLACK, "linestyle": "-.", "linewidth": 1.2}
        marks.append(Line2D([at, at], [0, 10 * max(bar.inference_s for bar in bars)], label=_change(case), **look))
    return marks


def _draw_bars(axes: Axes, bars: Sequence[StepBar]) -> None:
    for bar in bars:
        axes.bar(bar.index, bar.inference_s, 0.85, **bar.look.fill)
        if bar.loading_s:
            axes.bar(bar.index, bar.loading_s, 0.85, bar.inference_s, **style.LOADING.fill)
    highest_s = max(max(bar.inference_s + bar.loading_s, *bar.times_s, *bar.others_s) for bar in bars)
    for bar in (bar for bar in bars if bar.marked):
        # Among many narrow bars the first has the axis at its left, and no room there.
        side = "left" if bar is bars[0] and len(bars) > 12 else "center"
        place = (bar.index - 0.4 * (side == "left"), _label_above_s(bar, bars, highest_s) + 0.03 * highest_s)
        # The line of the median must not strike the words through.
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.annotate(f"{bar.marked}\n{rounded(median(bar.times_s))} s", place, ha=side, fontsize=8, bbox=ground)
    axes.set_ylim(0, 1.22 * highest_s)
    axes.set_xlim(bars[0].index - 0.75, bars[-1].index + 0.75)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(False, axis="x")
    axes.set_xlabel("Step (from 0, as in the names of stages)")
    axes.set_ylabel("Time of the step (s)")


def _label_above_s(bar: StepBar, bars: Sequence[StepBar], highest_s: float) -> float:
    """What a bar's label stands above: of marks of other generations only those that it would cover."""
    near = [each for each in bars if abs(each.index - bar.index) <= len(bars) / 12]
    top_s = max(bar.inference_s + bar.loading_s, *bar.times_s)
    return max([top_s, *(other_s for each in near for other_s in each.others_s if other_s < top_s + 0.25 * highest_s)])


def _change(case: CaseRow) -> str:
    before_s, after_s = rounded(case["step_change_before_s"]), rounded(case["step_change_after_s"])
    return f"change from {before_s} s to {after_s} s at step {case['step_change_at']}"


def _caption(case: CaseRow) -> str:
    several = " Bars are medians over the measured generations." if case["repeats"] > 1 else ""
    kind = "median" if case["cache"] == "none" else "mean"
    return (
        f"Time of each step of {case['case']}, inference and the loading of weights stacked.{several} The dashed line "
        f"is the {kind} without the first and the expert-switch step."
    )


def _alt(case: CaseRow, bars: Sequence[StepBar]) -> str:
    parts = [f"{len(bars)} steps"]
    parts += [] if case["step_s"] is None else [f"{_kind(case)} {rounded(case['step_s'])} s"]
    parts += [f"{bar.marked} step {rounded(median(bar.times_s))} s" for bar in bars if bar.marked]
    loading_s = sum(bar.loading_s for bar in bars)
    parts += [f"loading of weights {rounded(loading_s)} s in all"] if loading_s else []
    parts += [] if case["step_change_at"] is None else [_change(case)]
    return f"Step times of {case_title(case)}: {', '.join(parts)}."
