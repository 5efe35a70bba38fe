"""The time of each denoising step of a case."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wanbench.analysis.figures import Step, figures_of, steps_of
from wanbench.analysis.generations import kind_of
from wanbench.plots import style
from wanbench.plots.picture import Picture, case_title, notice
from wanbench.plots.segments import look_of
from wanbench.plots.style import Look, rounded
from wanbench.registry import stages as stage_names
from wanbench.trace.reader import Trace


@dataclass(frozen=True)
class StepBar:
    """A step over the generations that count.

    Attributes:
        loading_s, inference_s: medians.
        marked: what is special about the step, as the picture says it; empty for most.
        times_s: of each generation that counts; others_s: of each that does not.
    """

    index: int
    loading_s: float
    inference_s: float
    look: Look
    marked: str
    times_s: tuple[float, ...]
    others_s: tuple[float, ...]


def bars_of(trace: Trace) -> list[StepBar]:
    """One bar for each step that ran to its end; of generations that do not count where there are no others."""
    stages = trace.stages
    measured = steps_of(stage for stage in stages if stage.measured)
    not_measured = steps_of(stage for stage in stages if not stage.measured)
    loading_s = {
        (stage.generation, stage.measures.get("step")): stage.measures["time_s"]
        for stage in stages
        if "step" in stage.measures and stage.name == stage_names.step_loading(stage.measures["step"])
    }
    shown, others = (measured, not_measured) if measured else (not_measured, [])
    return [
        _bar([step for step in shown if step.index == index], _times(others, index), loading_s)
        for index in sorted({step.index for step in shown})
    ]


def _times(steps: Iterable[Step], index: int) -> tuple[float, ...]:
    return tuple(step.time_s for step in steps if step.index == index)


def _bar(steps: Sequence[Step], others_s: tuple[float, ...], loading_s: dict[Any, float]) -> StepBar:
    first = steps[0]
    loading = [loading_s.get((step.generation, step.index), 0.0) for step in steps]
    return StepBar(
        index=first.index,
        loading_s=median(loading),
        inference_s=median(step.time_s - load_s for step, load_s in zip(steps, loading)),
        look=look_of(stage_names.step_inference(first.index), first.expert),
        marked="first" if first.index == 0 else "expert switch" if first.is_switch else "",
        times_s=_times(steps, first.index),
        others_s=others_s,
    )


def step_times(trace: Trace) -> Picture:
    """A bar for each step, with the median that the report gives as s/step."""
    title = case_title(trace)
    bars = bars_of(trace)
    if not bars:
        return notice(f"{title}: time of each step", "No denoising step ran to its end.")
    step_s, change = figures_of(trace).step_s, trace.quality["step_time_change"]
    kind = _kind(trace, bars)
    looks = list(dict.fromkeys(bar.look for bar in bars))
    looks += [style.LOADING] if any(bar.loading_s for bar in bars) else []
    marks = (any(len(bar.times_s) > 1 for bar in bars), any(bar.others_s for bar in bars), bool(change))
    top_in = 0.5 + style.legend_height_in(len(looks) + sum(marks))
    figure = style.new_figure(top_in + 3.0)
    style.heading(figure, f"{title}: time of each step")
    axes = style.place(figure, 0.75, top_in, 7.2, 2.5)
    _draw_bars(axes, bars)
    handles = _draw_marks(axes, bars, _uncounted(trace))
    if step_s is not None:
        axes.axhline(step_s, color=style.BLACK, linestyle="--", linewidth=1)
        end = (1.01, step_s)
        label = f"{kind.replace('typical ', '')}\n{rounded(step_s)} s"
        axes.annotate(label, end, xycoords=("axes fraction", "data"), va="center", fontsize=8)
    if change:
        axes.axvline(change["step"] - 0.5, color=style.BLACK, linestyle="-.", linewidth=1.2)
        handles.append(Line2D([], [], color=style.BLACK, linestyle="-.", label=_change(change)))
    style.legend(figure, looks, 0.4, handles)
    return Picture(
        figure, _alt(title, bars, f"{kind} {rounded(step_s)} s" if step_s is not None else "", change), _caption(trace)
    )


def _kind(trace: Trace, bars: Sequence[StepBar]) -> str:
    """What s/step is of the steps; one is the median of nothing."""
    if sum(len(bar.times_s) for bar in bars if not bar.marked) == 1:
        return "1 typical step"
    return "median" if trace.case["cache"] == "none" else "mean"


def _draw_bars(axes: Axes, bars: Sequence[StepBar]) -> None:
    for bar in bars:
        axes.bar(bar.index, bar.inference_s, 0.85, **bar.look.fill)
        if bar.loading_s:
            axes.bar(bar.index, bar.loading_s, 0.85, bar.inference_s, **style.LOADING.fill)
    highest_s = max(max(bar.inference_s + bar.loading_s, *bar.times_s, *bar.others_s) for bar in bars)
    for bar in bars:
        if bar.marked:
            top_s = _label_above_s(bar, bars, highest_s)
            text = f"{bar.marked}\n{rounded(median(bar.times_s))} s"
            # Among many narrow bars the first has the axis at its left, and no room there.
            side = "left" if bar is bars[0] and len(bars) > 12 else "center"
            place = (bar.index - 0.4 * (side == "left"), top_s + 0.03 * highest_s)
            # The line of the median must not strike the words through.
            ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            axes.annotate(text, place, ha=side, fontsize=8, bbox=ground)
    axes.set_ylim(0, 1.22 * highest_s)
    axes.set_xlim(bars[0].index - 0.75, bars[-1].index + 0.75)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(False, axis="x")
    axes.set_xlabel("Step (from 0, as in the names of stages)")
    axes.set_ylabel("Time of the step (s)")


def _label_above_s(bar: StepBar, bars: Sequence[StepBar], highest_s: float) -> float:
    """What a bar's label stands above: of marks of generations that do not count only those that it would cover."""
    near = [each for each in bars if abs(each.index - bar.index) <= len(bars) / 12]
    top_s = max(bar.inference_s + bar.loading_s, *bar.times_s)
    others_s = [other_s for each in near for other_s in each.others_s if other_s < top_s + 0.25 * highest_s]
    return max([top_s, *others_s])


def _uncounted(trace: Trace) -> str:
    """What the generations are that do not count."""
    kinds = {kind_of(stage, trace.case["warmup"]) for stage in trace.stages} - {""}
    return f"{' or '.join(sorted(kinds, reverse=True))} generation"


def _draw_marks(axes: Axes, bars: Sequence[StepBar], not_measured: str) -> list[Line2D]:
    """The single generations, where there are several; `uncounted` says what those are that do not count."""
    handles: list[Line2D] = []
    if any(len(bar.times_s) > 1 for bar in bars):
        points = [(bar.index, time_s) for bar in bars for time_s in bar.times_s]
        handles += axes.plot(
            *zip(*points),
            linestyle="",
            marker="D",
            markersize=4,
            color=style.BLACK,
            markeredgecolor="white",
            label="each generation that counts",
        )
    points = [(bar.index, time_s) for bar in bars for time_s in bar.others_s]
    if points:
        handles += axes.plot(
            *zip(*points),
            linestyle="",
            marker="o",
            markersize=5,
            color=style.BLACK,
            markerfacecolor="white",
            label=not_measured,
        )
    return handles


def _change(change: dict[str, Any]) -> str:
    return f"change from {rounded(change['before_s'])} s to {rounded(change['after_s'])} s at step {change['step']}"


def _caption(trace: Trace) -> str:
    several = "; bars are medians over the generations that count" if trace.case["repeats"] > 1 else ""
    return (
        f"Time of each step of {trace.case['name']}, inference and the loading of weights stacked{several}. The "
        f"dashed line is the {'median' if trace.case['cache'] == 'none' else 'mean'} without the first and the "
        "expert-switch step."
    )


def _alt(title: str, bars: Sequence[StepBar], typical: str, change: dict[str, Any] | None) -> str:
    parts = [f"{len(bars)} steps"]
    parts += [typical] if typical else []
    parts += [f"{bar.marked} step {rounded(median(bar.times_s))} s" for bar in bars if bar.marked]
    loading_s = sum(bar.loading_s for bar in bars)
    parts += [f"loading of weights {rounded(loading_s)} s in all"] if loading_s else []
    parts += [_change(change)] if change else []
    return f"Step times of {title}: {', '.join(parts)}."
