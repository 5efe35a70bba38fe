"""From the measuring process's records to stages with exact intervals."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from wanbench.measure.outcome import ReportedError
from wanbench.registry import stages as stage_names
from wanbench.util.intervals import Interval, subtract, total, union
from wanbench.util.redaction import redacted_message


@dataclass
class Span:
    """A stage, step or detail as it was recorded.

    Attributes:
        end_ns: None while open.
        generation: number of the generation it belongs to, from 0; None outside of generations.
        parent: the span that it lies in.
    """

    number: int
    name: str
    kind: str
    start_ns: int
    end_ns: int | None
    args: dict[str, Any]
    generation: int | None
    parent: int | None


@dataclass(frozen=True)
class Transfer:
    """Weights moving between host and device, inside span `span`.

    Attributes:
        intervals: when the device could not compute for it.
        count: number of moves that are told of together.
    """

    span: int | None
    intervals: list[Interval]
    direction: str
    module: str
    count: int
    size_bytes: int


@dataclass
class Recording:
    """Everything that a measuring process wrote down before it ended."""

    spans: dict[int, Span] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    measured: dict[int, bool] = field(default_factory=dict)
    environment: dict[str, Any] | None = None
    flops: dict[str, int | None] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    matmul: dict[str, Any] | None = None
    error: ReportedError | None = None
    stage_reached: str | None = None

    @property
    def matmul_times(self) -> list[Interval]:
        """When it multiplied matrices on an otherwise idle GPU, monotonic, in nanoseconds; empty if it did not."""
        busy_ns = (self.matmul or {}).get("busy_ns")
        return [(busy_ns[0], busy_ns[1])] if busy_ns else []


@dataclass(frozen=True)
class Stage:
    """A row of the report.

    Attributes:
        extent: from its first to its last instant; other stages may lie in it.
        intervals: the time that is its own.
        args: recorded values; units are in the keys.
        interrupted: it was still running when the process ended.
    """

    name: str
    generation: int | None
    extent: Interval
    intervals: list[Interval]
    args: dict[str, Any]
    interrupted: bool

    @property
    def time_ns(self) -> int:
        return total(self.intervals)


def read_records(records: Iterable[dict[str, Any]]) -> Recording:
    """Sort the records of a measuring process. Spans that never ended keep `end_ns` None."""
    recording = Recording()
    open_spans: list[int] = []
    generation: int | None = None
    for record in records:
        kind = record["record"]
        if kind == "begin":
            span = record["span"]
            parent = open_spans[-1] if open_spans else None
            inside = None if record["name"] == stage_names.TOTAL_EXECUTION else generation
            recording.spans[span] = Span(
                span, record["name"], record["kind"], record["time_ns"], None, record["args"], inside, parent
            )
            open_spans.append(span)
        elif kind == "end":
            span = record["span"]
            recording.spans[span].end_ns = record["time_ns"]
            recording.spans[span].args |= record["args"]
            open_spans.remove(span)
        elif kind == "peaks":
            recording.spans[record["span"]].args |= record["args"]
        elif kind == "transfers":
            intervals = [(start_ns, end_ns) for start_ns, end_ns in record["intervals"]]
            recording.transfers.append(
                Transfer(
                    record["span"],
                    intervals,
                    record["direction"],
                    record["module"],
                    record["transfers"],
                    record["bytes"],
                )
            )
        elif kind == "generation":
            generation = record["number"]
            recording.measured[generation] = record["measured"]
        elif kind == "environment":
            recording.environment = record["values"]
        elif kind == "flops":
            recording.flops = record["values"]
        elif kind == "result":
            recording.result = {key: value for key, value in record.items() if key != "record"}
        elif kind == "matmul":
            recording.matmul = record
        elif kind == "error":
            message = redacted_message(record["message"])
            recording.error = ReportedError(record["type"], message, record["out_of_memory"], record["time_ns"])
    recording.stage_reached = _stage_reached(recording.spans, open_spans)
    return recording


def _stage_reached(spans: dict[int, Span], open_spans: list[int]) -> str | None:
    """Innermost stage that was running at the end, or the last one that ended."""
    running = [spans[number] for number in open_spans if spans[number].kind != "detail"]
    inner = [span for span in running if span.name != stage_names.TOTAL_EXECUTION]
    if not inner:
        ended = [span for span in spans.values() if span.kind != "detail" and span.name != stage_names.TOTAL_EXECUTION]
        inner = sorted(ended, key=lambda span: span.start_ns)[-1:]
    if not inner:
        return None
    return stage_names.step_inference(inner[-1].args["step"]) if inner[-1].kind == "step" else inner[-1].name


def stages_of(recording: Recording, ended_ns: int) -> list[Stage]:
    """The stages, in the order of their beginning.

    A stage's own time is its extent less that of the stages inside it; `Total_Execution` keeps all of its
    extent. A step is split in two: loading is the time in which weights moved, inference the rest.

    Args:
        ended_ns: when the process ended; a stage that was still running is closed there.
    """
    inside: dict[int, list[Interval]] = {}
    for span in recording.spans.values():
        parent = _stage_around(recording, span.parent)
        if span.kind != "detail" and parent is not None:
            inside.setdefault(parent, []).append((span.start_ns, span.end_ns or ended_ns))
    transfers = _transfers_by_stage(recording)
    stages: list[Stage] = []
    for span in recording.spans.values():
        if span.kind == "detail":
            continue
        extent = (span.start_ns, span.end_ns or ended_ns)
        own_transfers = transfers.get(span.number, [])
        args = span.args | _transfer_args(own_transfers)
        interrupted = span.end_ns is None
        holes = [] if span.name == stage_names.TOTAL_EXECUTION else union(inside.get(span.number, []))
        intervals = subtract([extent], holes)
        if span.kind == "step":
            stages += _split_step(span, extent, intervals, own_transfers, args, interrupted)
        else:
            stages.append(Stage(span.name, span.generation, extent, intervals, args, interrupted))
    return _one_compilation(stages)


def _one_compilation(stages: list[Stage]) -> list[Stage]:
    """The stages with the compilations of each generation put together where the first of them stands."""
    kept: dict[Any, Stage] = {}
    for number, stage in enumerate(stages):
        key = (stage.name, stage.generation) if stage.name == stage_names.COMPILATION else number
        kept[key] = _together(kept[key], stage) if key in kept else stage
    return list(kept.values())


def _together(first: Stage, second: Stage) -> Stage:
    peaks = {key: max(value, first.args.get(key, 0)) for key, value in second.args.items()}
    return replace(
        first,
        extent=(first.extent[0], second.extent[1]),
        intervals=first.intervals + second.intervals,
        args=first.args | peaks,
        interrupted=second.interrupted,
    )


def _stage_around(recording: Recording, number: int | None) -> int | None:
    """The span itself, or the nearest one around it that is a stage or step; details are looked through."""
    while number is not None and recording.spans[number].kind == "detail":
        number = recording.spans[number].parent
    return number


def _transfers_by_stage(recording: Recording) -> dict[int, list[Transfer]]:
    """Moves by the stage or step that needed them."""
    transfers: dict[int, list[Transfer]] = {}
    for transfer in recording.transfers:
        number = _stage_around(recording, transfer.span)
        if number is not None:
            transfers.setdefault(number, []).append(transfer)
    return transfers


def _transfer_args(transfers: list[Transfer]) -> dict[str, Any]:
    if not transfers:
        return {}
    offloading = union(part for transfer in transfers if transfer.direction == "offload" for part in transfer.intervals)
    loading = subtract(union(part for transfer in transfers for part in transfer.intervals), offloading)
    return {
        "transfers": sum(transfer.count for transfer in transfers),
        "loading_s": total(loading) / 1e9,
        "offloading_s": total(offloading) / 1e9,
        "loaded_bytes": sum(transfer.size_bytes for transfer in transfers if transfer.direction == "load"),
        "offloaded_bytes": sum(transfer.size_bytes for transfer in transfers if transfer.direction == "offload"),
    }


def _split_step(
    span: Span,
    extent: Interval,
    intervals: list[Interval],
    transfers: list[Transfer],
    args: dict[str, Any],
    interrupted: bool,
) -> list[Stage]:
    """Memory peaks are those of the whole step, and stand with its inference; loading has none of its own."""
    loading = union(part for transfer in transfers for part in transfer.intervals)
    index = span.args["step"]
    about_step = {key: args[key] for key in ("step", "expert") if key in args}
    load_extent = (loading[0][0], loading[0][0] + total(loading)) if loading else (extent[0], extent[0])
    return [
        Stage(
            stage_names.step_loading(index),
            span.generation,
            load_extent,
            loading,
            about_step | _transfer_args(transfers),
            interrupted and not loading,
        ),
        Stage(
            stage_names.step_inference(index),
            span.generation,
            extent,
            subtract(intervals, loading),
            about_step
            | {key: value for key, value in args.items() if key.startswith("gpu_mem_") or key == "passes_reused"},
            interrupted,
        ),
    ]
