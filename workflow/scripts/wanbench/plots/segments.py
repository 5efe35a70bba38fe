"""The stages of a case (its rows of the stages table) as pieces of a time axis."""

from dataclasses import dataclass

from wanbench.analysis.tables import TableRow, TableRows
from wanbench.plots import style
from wanbench.plots.style import Look
from wanbench.registry import stages as stage_names

# Times in a trace are rounded to microseconds; less than this is no piece.
_LEAST_S = 1e-4
_LOOKS = {
    stage_names.PROCESS_STARTUP: style.STARTUP,
    stage_names.MODEL_INITIALIZATION: style.INITIALISATION,
    stage_names.PREPROCESS: style.ENCODING,
    stage_names.TEXT_ENCODING: style.ENCODING,
    stage_names.COMPILATION: style.COMPILATION,
    stage_names.VAE_DECODING: style.DECODING,
    stage_names.VIDEO_EXPORT: style.EXPORT,
}
_EXPERTS = {"high_noise": style.HIGH_NOISE, "low_noise": style.LOW_NOISE}


@dataclass(frozen=True)
class Segment:
    """A piece of a stage, in seconds since the start of the process."""

    stage: str
    look: Look
    start_s: float
    end_s: float


def look_of(stage: str, expert: str | None = None) -> Look:
    """The fill of a leaf stage; experts look different only where `expert` is given."""
    if stage_names.is_step_loading(stage):
        return style.LOADING
    return _LOOKS.get(stage) or _EXPERTS.get(expert or "", style.DENOISING)


def kind_of(stage: TableRow, warmup: int) -> str:
    """What the generation of a stage is that is not measured; empty for a measured one, and for a stage of none.

    Args:
        warmup: number of generations that warm up.
    """
    if stage["measured"] or stage["generation"] is None:
        return ""
    if stage["excluded"]:
        return "excluded"
    return "warm-up" if stage["generation"] < warmup else "cold" if stage["generation"] == 0 else "cut short"


def segments_of(stages: TableRows) -> list[Segment]:
    """Leaf stages in the order in which they are drawn: what lies inside another stage comes later, and covers it.

    The tables hold where a stage begins and ends and how long its own time in between is, but not its pieces. So what
    lies inside another stage is drawn in one piece: loading from its first transfer, compilation where it began in
    each step, each as long as it took in all.
    """
    leaves = [stage for stage in stages if stage["stage"] not in (stage_names.TOTAL_EXECUTION, stage_names.COMPILATION)]
    drawn = [(stage, *extent_s(stage)) for stage in sorted(leaves, key=_is_inner)]
    for compiled in (stage for stage in stages if stage["stage"] == stage_names.COMPILATION):
        drawn += [(compiled, *piece) for piece in _compilation(compiled, leaves)]
    return [
        Segment(stage["stage"], look_of(stage["stage"], stage["expert"]), start_s, end_s)
        for stage, start_s, end_s in drawn
        if end_s - start_s > _LEAST_S
    ]


def extent_s(stage: TableRow) -> tuple[float, float]:
    """Where a stage starts and ends, whatever lies inside it."""
    return stage["start_s"], stage["start_s"] + stage["extent_s"]


def _is_inner(stage: TableRow) -> bool:
    return stage["stage"] == stage_names.TEXT_ENCODING or stage_names.is_step_loading(stage["stage"])


def _compilation(compiled: TableRow, leaves: TableRows) -> list[tuple[float, float]]:
    """Where compilation went on: a stage's extent is longer than its own time by what lies inside it."""
    if compiled["extent_s"] - compiled["time_s"] < _LEAST_S:
        return [extent_s(compiled)]
    pieces = []
    around = [stage for stage in leaves if stage["generation"] == compiled["generation"]]
    for outer in (stage for stage in around if not _is_inner(stage)):
        start_s, end_s = extent_s(outer)
        held = [stage for stage in around if _is_inner(stage) and start_s <= stage["start_s"] < end_s]
        hidden_s = outer["extent_s"] - outer["time_s"] - sum(stage["extent_s"] for stage in held)
        if hidden_s > _LEAST_S:
            begin_s = max(start_s, compiled["start_s"], *(extent_s(stage)[1] for stage in held))
            begin_s = min(begin_s, end_s - hidden_s)
            pieces.append((begin_s, begin_s + hidden_s))
    return pieces
