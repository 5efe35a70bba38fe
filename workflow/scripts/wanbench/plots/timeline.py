"""The timeline of a case: its stages, and below them what the machine did meanwhile."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from wanbench.analysis.figures import figures_of
from wanbench.analysis.generations import kind_of
from wanbench.plots import style
from wanbench.plots.panels import Counters, Panel, panels_of
from wanbench.plots.picture import Picture, case_title
from wanbench.plots.segments import Segment, look_of, segments_of
from wanbench.plots.style import rounded
from wanbench.registry.stages import NOT_LEAVES, TOTAL_EXECUTION
from wanbench.trace.reader import StageRecord, Trace

_LEFT_IN, _WIDTH_IN = 0.75, 6.75
_LEAST_MOVING_S = 0.1  # that is worth a word
_STAGES_IN, _GENERATIONS_IN, _PANEL_IN, _SPACE_IN, _BOTTOM_IN = 0.4, 0.22, 1.15, 0.14, 0.5


def timeline(trace: Trace, counters: Counters) -> Picture:
    """Stages as bars above panels of the same time axis; of a failed case as far as it came.

    Start-up of the process is excluded where anything came after it: it can be longer than all the rest.
    """
    segments = segments_of(trace.stages)
    panels = panels_of(counters, trace.stages)
    begin_s = next((stage.start_s for stage in trace.stages if stage.name == TOTAL_EXECUTION), 0.0)
    segments = [segment for segment in segments if segment.end_s > begin_s]
    looks = list(dict.fromkeys(segment.look for segment in segments))
    generations = _generations(trace.stages, trace.case["warmup"])
    stages_in = _STAGES_IN + (_GENERATIONS_IN if len(generations) > 1 else 0)
    top_in = 0.5 + style.legend_height_in(len(looks))
    figure = style.new_figure(top_in + stages_in + len(panels) * (_PANEL_IN + _SPACE_IN) + _BOTTOM_IN)
    style.heading(figure, case_title(trace))
    style.legend(figure, looks, 0.4)
    axes = style.place(figure, _LEFT_IN, top_in, _WIDTH_IN, stages_in)
    _draw_stages(axes, segments, generations if len(generations) > 1 else [], trace.total_duration_s - begin_s)
    below = [axes]
    for i, panel in enumerate(panels):
        place_in = top_in + stages_in + _SPACE_IN + i * (_PANEL_IN + _SPACE_IN)
        below.append(style.place(figure, _LEFT_IN, place_in, _WIDTH_IN, _PANEL_IN))
        _draw_panel(below[-1], panel)
    for each in below:
        each.set_xlim(begin_s, trace.total_duration_s)
        each.tick_params(labelbottom=each is below[-1])
    below[-1].set_xlabel("Time since the start of the process (s)")
    figure.align_ylabels(below)
    return Picture(figure, _alt(trace, segments, panels), _caption(trace, panels))


def _generations(stages: Sequence[StageRecord], warmup: int) -> list[tuple[str, float, float]]:
    """Name, start and end of each generation, of which so many warm up."""
    spans: dict[int, tuple[str, float, float]] = {}
    for stage in stages:
        if stage.generation is not None:
            kind = kind_of(stage, warmup)
            name = f"{stage.generation} ({kind})" if kind else f"{stage.generation}"
            end_s = stage.start_s + stage.extent_s
            known = spans.get(stage.generation, (name, stage.start_s, end_s))
            spans[stage.generation] = (name, min(known[1], stage.start_s), max(known[2], end_s))
    return [spans[number] for number in sorted(spans)]


def _draw_stages(
    axes: Axes, segments: Sequence[Segment], generations: Sequence[tuple[str, float, float]], length_s: float
) -> None:
    """
    Args:
        generations: to be named above the stages, as far as their names fit.
        length_s: of the time axis.
    """
    for look in dict.fromkeys(segment.look for segment in segments):
        of_look = [(part.start_s, part.end_s - part.start_s) for part in segments if part.look is look]
        axes.broken_barh(of_look, (0, 1), **look.fill)
    for name, start_s, end_s in generations:
        axes.plot([start_s, end_s], [1.3, 1.3], color=style.BLACK, marker="|", markersize=5, linewidth=1)
        for text in (name, name.split()[0]):
            if (end_s - start_s) / length_s * _WIDTH_IN > 0.08 * len(text):
                axes.annotate(text, ((start_s + end_s) / 2, 1.38), ha="center", fontsize=8)
                break
    axes.set_ylim(0, 1.9 if generations else 1)
    axes.set_yticks([0.5, 1.5] if generations else [0.5], ["Stages", "Generation"][: 2 if generations else 1])
    axes.tick_params(axis="y", length=0)
    axes.grid(False)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for line in panel.lines:
        times_s, values = line.readings.times_s, line.readings.values
        drawn_as = "steps-pre" if panel.stepped else "default"
        look = {"color": line.colour, "linestyle": line.dashes, "linewidth": 1.1}
        axes.plot(times_s, values, drawstyle=drawn_as, label=line.label, **look)
    if panel.levels:
        starts_s, ends_s, values = zip(*panel.levels)
        axes.hlines(values, starts_s, ends_s, colors=style.VERMILION, linewidth=2.2, label=panel.levels_label)
    # A line at the very top would be cut in half.
    axes.set_ylim(0, max(1.05 * axes.dataLim.y1, 105 if panel.share else 0) or 1)
    axes.set_ylabel(f"{panel.name}\n({panel.unit})")
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.0), borderaxespad=0, handlelength=2)


def _caption(trace: Trace, panels: Sequence[Panel]) -> str:
    shown = "".join(f", {panel.name}" for panel in panels)
    return (
        f"The stages of {trace.case['name']} over time{shown}. Loading in a step is drawn in one piece from where it "
        f"began{_moving(trace.stages)}. Gaps were not sampled; points of long cases are means of neighbours, of memory "
        "the highest."
    )


def _moving(stages: Sequence[StageRecord]) -> str:
    """How long weights moved in stages outside the steps, where a trace does not hold when."""
    times_s: dict[str, float] = {}
    for stage in stages:
        look = look_of(stage.name) if stage.name not in NOT_LEAVES else style.LOADING
        moving_s = sum(stage.measures.get(key) or 0.0 for key in ("loading_s", "offloading_s"))
        if look is not style.LOADING and moving_s >= _LEAST_MOVING_S:
            times_s[look.label] = times_s.get(look.label, 0.0) + moving_s
    parts = [f"of {rounded(time_s)} s in {label}" for label, time_s in times_s.items()]
    return f"; moves of weights outside the steps, {' and '.join(parts)}, are not drawn apart" if parts else ""


def _alt(trace: Trace, segments: Sequence[Segment], panels: Sequence[Panel]) -> str:
    times_s: dict[str, float] = {}
    for segment in segments:
        times_s[segment.look.label] = times_s.get(segment.look.label, 0) + segment.end_s - segment.start_s
    longest = sorted(times_s.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{label} {rounded(time_s)} s" for label, time_s in longest)
    text = f"Timeline of {case_title(trace)}: {rounded(trace.total_duration_s)} s in all"
    return "; ".join([f"{text}, of which {parts}" if parts else text, *_peaks(trace, panels)]) + "."


def _peaks(trace: Trace, panels: Sequence[Panel]) -> list[str]:
    """The highest or mean figure of each panel in words."""
    activity_pct = figures_of(trace).inference_sm_activity_pct
    words = [] if activity_pct is None else [f"SM activity while denoising {rounded(activity_pct)} %"]
    for panel in panels:
        known = [value for line in panel.lines for value in line.readings.values if not math.isnan(value)]
        if known and not panel.stepped:
            words.append(f"{panel.name} up to {rounded(max(known))} {panel.unit}")
    return words
