"""The timeline of a case: its stages, and below them what the machine did meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from wanbench.plots import style
from wanbench.plots.panels import Counters, Panel, panels_of
from wanbench.plots.picture import WORDS, Picture, described
from wanbench.plots.segments import Segment, StageRow, kind_of, segments_of
from wanbench.registry.stages import TOTAL_EXECUTION

_LEFT_IN, _WIDTH_IN = 0.75, 6.75
_STAGES_IN, _GENERATIONS_IN, _PANEL_IN, _SPACE_IN, _BOTTOM_IN = 0.4, 0.22, 1.15, 0.14, 0.5


def timeline(case: Mapping[str, Any], stages: Sequence[StageRow], counters: Counters) -> Picture:
    """Stages as bars above panels of the same time axis; of a failed case as far as it came.

    Start-up of the process is excluded where anything came after it: it can be longer than all the rest.

    Args:
        case, stages: its rows of the tables, None for what was not measured.
    """
    begin_s = next((stage["start_s"] for stage in stages if stage["stage"] == TOTAL_EXECUTION), 0.0)
    end_s = case["total_duration_s"]
    segments = [segment for segment in segments_of(stages) if segment.end_s > begin_s]
    panels = panels_of(counters, stages)
    looks = list(dict.fromkeys(segment.look for segment in sorted(segments, key=lambda segment: segment.start_s)))
    generations = _generations(stages, case["warmup"])
    stages_in = _STAGES_IN + (_GENERATIONS_IN if generations else 0)
    top_in = 0.5 + style.legend_height_in(len(looks))
    panels_in = len(panels) * (_PANEL_IN + _SPACE_IN)
    figure = style.new_figure(top_in + stages_in + panels_in + _BOTTOM_IN, WORDS.heading(case))
    style.legend(figure, looks, 0.4)
    axes = style.place(figure, _LEFT_IN, top_in, _WIDTH_IN, stages_in)
    _draw_stages(axes, segments, generations, end_s - begin_s)
    below = [axes]
    for i, panel in enumerate(panels):
        place_in = top_in + stages_in + _SPACE_IN + i * (_PANEL_IN + _SPACE_IN)
        below.append(style.place(figure, _LEFT_IN, place_in, _WIDTH_IN, _PANEL_IN))
        _draw_panel(below[-1], panel)
    for each in below:
        each.set_xlim(begin_s, end_s)
        each.tick_params(labelbottom=each is below[-1])
        # At one place, which to find from the labels of all ticks would take a fifth of the time of a picture.
        each.yaxis.set_label_coords(-0.4 / _WIDTH_IN, 0.5)
    below[-1].set_xlabel("Time since the start of the process (s)")
    return described(figure, WORDS.timeline(case, end_s, [panel.name for panel in panels]))


def _generations(stages: Sequence[StageRow], warmup: int) -> list[tuple[str, float, float]]:
    """Name, start and end of each generation where there are several."""
    numbers, named = sorted({stage["generation"] for stage in stages} - {None}), []
    for number in numbers if len(numbers) > 1 else ():
        of_it = [stage for stage in stages if stage["generation"] == number]
        kind = kind_of(of_it[0], warmup)
        end_s = max(stage["start_s"] + stage["extent_s"] for stage in of_it)
        named.append((f"{number} ({kind})" if kind else f"{number}", min(each["start_s"] for each in of_it), end_s))
    return named


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
    for name, readings in panel.lines.items():
        colour, dashes = panel.looks[name]
        drawn_as = "steps-pre" if panel.share else "default"
        look = {"color": colour, "linestyle": dashes, "linewidth": 1.1, "drawstyle": drawn_as}
        axes.plot(readings.times_s, readings.values, label=name, **look)
    if panel.levels:
        starts_s, ends_s, values = zip(*panel.levels)
        label = "peak allocated by\ntorch in each stage"
        axes.hlines(values, starts_s, ends_s, colors=style.VERMILION, linewidth=2.2, label=label)
    # A line at the very top would be cut in half.
    axes.set_ylim(0, max(1.05 * axes.dataLim.y1, 105 if panel.share else 0) or 1)
    axes.set_ylabel(f"{panel.name}\n({panel.unit})")
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.0), borderaxespad=0, handlelength=2)
