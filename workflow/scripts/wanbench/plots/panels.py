"""What stands below the stages of a timeline: one panel for each kind of figure that was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from wanbench.plots import style
from wanbench.plots.series import Summary, drawable
from wanbench.registry.stages import NOT_LEAVES
from wanbench.trace.reader import Readings, StageRecord

Counters = Mapping[str, Mapping[str, Readings]]

_ALLOCATED = "peak allocated by\ntorch in each stage"


@dataclass(frozen=True)
class Line:
    """A line of a panel: what the legend calls it, its points, and how it is drawn."""

    label: str
    readings: Readings
    colour: str
    dashes: str = "-"


@dataclass(frozen=True)
class Panel:
    """A kind of figure over time.

    Attributes:
        stepped: each reading is a mean of the time since the one before, and is drawn as a step over it.
        levels: horizontal pieces (start, end, value) with a name of their own.
        share: the axis reaches 100 %, whatever was measured.
    """

    name: str
    unit: str
    lines: tuple[Line, ...]
    stepped: bool = False
    levels: tuple[tuple[float, float, float], ...] = ()
    levels_label: str = ""
    share: bool = False


def panels_of(counters: Counters, stages: Sequence[StageRecord]) -> list[Panel]:
    """Panels of the GPU, or else of the CPU. What was not measured has no panel and no line: it is not zero."""
    levels = _allocated(stages)
    gpu = [
        Panel(
            "GPU activity",
            "%",
            _lines(counters, "GPU activity (%)", {"SM": (style.BLUE, "-"), "tensor": (style.VERMILION, ":")}),
            stepped=True,
            share=True,
        ),
        Panel(
            "GPU memory",
            "GB",
            _lines(counters, "GPU memory (GB)", {"device": (style.BLUE, "-")}, max),
            levels=levels,
            levels_label=_ALLOCATED if levels else "",
        ),
        Panel("Power", "W", _lines(counters, "GPU power (W)", {"power": (style.BLUE, "-")})),
    ]
    cpu_looks = {"machine": (style.SKY, "-"), "measured process": (style.VERMILION, ":")}
    cpu = [
        Panel(
            "CPU",
            "%",
            tuple(_of_a_whole(line) for line in _lines(counters, "CPU (%)", cpu_looks)),
            stepped=True,
            share=True,
        ),
        Panel(
            "Process memory",
            "GB",
            _lines(counters, "System memory (GB)", {"measured process": (style.BLUE, "-")}, max),
        ),
    ]
    return [panel for panel in gpu if panel.lines or panel.levels] or [panel for panel in cpu if panel.lines]


def _lines(
    counters: Counters, track: str, looks: Mapping[str, tuple[str, str]], summarise: Summary = fmean
) -> tuple[Line, ...]:
    read = counters.get(track, {})
    return tuple(Line(name, drawable(read[name], summarise), *look) for name, look in looks.items() if name in read)


def _of_a_whole(line: Line) -> Line:
    """The line without what the kernel's ticks put above 100 %, as in the report's tables."""
    times_s, values = line.readings.times_s, line.readings.values
    return replace(line, readings=Readings(times_s, [100.0 if value > 100 else value for value in values]))


def _allocated(stages: Sequence[StageRecord]) -> tuple[tuple[float, float, float], ...]:
    """Torch's peak is known of whole stages only, not of an instant."""
    return tuple(
        (stage.start_s, stage.start_s + stage.extent_s, stage.measures["gpu_mem_allocated_bytes"] / 1e9)
        for stage in stages
        if stage.name not in NOT_LEAVES and stage.measures.get("gpu_mem_allocated_bytes") is not None
    )
