"""From the measured process's records to stages with exact intervals."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from wanbench.measure.outcome import ErrorRecord
from wanbench.registry import stages as stage_names
from wanbench.util.intervals import Interval, subtract, total, union
from wanbench.util.redaction import redacted_message


@dataclass
class Span:
    """A stage, step or detail as it was recorded.

    Attributes:
        end_ns: None while open.
        generation: number of the generation it belongs to, from 0; None outside of generations.
        parent: number of the stage or step that it lies in.
    """

    number: int
    name: str
    kind: str
    start_ns: int
    end_ns: int | None
    args: dict[str, Any]
    generation: int | None
    parent: int | None


# The record of weight transfers between host and device: in span `span`, the `direction`, the `module`, the number that
# were recorded together in `transfers`, their `bytes`, and in `intervals` when the device could not compute for them.
Transfer = dict[str, Any]


@dataclass
class Recording:
    """Everything that a measured process wrote down before it ended."""

    spans: dict[int, Span] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    # Whether each generation is no warm-up.
    measured: dict[int, bool] = field(default_factory=dict)
    environment: dict[str, Any] | None = None
    flops: dict[str, int | None] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    matmul: dict[str, Any] | None = None
    kept: dict[str, Any] | None = None
    error: ErrorRecord | None = None
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

    @property
    def measures(self) -> dict[str, Any]:
        """What a trace says of it that is not sampled."""
        return self.args | {"time_s": self.time_ns / 1e9} | ({"interrupted": True} if self.interrupted else {})


def read_records(records: Iterable[dict[str, Any]]) -> Recording:
    """Sort the records of a measured process. Spans that never ended keep `end_ns` None."""
    recording = Recording()
    open_spans: list[int] = []
    for record in records:
        match record["record"]:
            case "begin":
                recording.spans[record["span"]] = _opened(record, recording, open_spans)
                open_spans.append(record["span"])
            case "end":
                span = recording.spans[record["span"]]
                span.end_ns = record["time_ns"]
                span.args |= record["args"]
                open_spans.remove(record["span"])
            case "peaks":
                recording.spans[record["span"]].args |= record["args"]
            case "transfers":
                recording.transfers.append(record | {"intervals": [tuple(each) for each in record["intervals"]]})
            case "generation":
                recording.measured[record["number"]] = record["measured"]
            case "environment" | "flops" | "kept" as name:
                setattr(recording, name, record["values"])
            case "result" | "matmul" as name:
                setattr(recording, name, record)
            case "error":
                recording.error = record | {"message": redacted_message(record["message"])}
    recording.stage_reached = _stage_reached(recording.spans, open_spans)
    return recording


def _opened(record: dict[str, Any], recording: Recording, open_spans: list[int]) -> Span:
    # The generation that began last is the one that runs.
    generation = None if record["name"] == stage_names.TOTAL_EXECUTION else next(reversed(recording.measured), None)
    parent = _stage_around(recording, open_spans[-1]) if open_spans else None
    about = (record[key] for key in ("span", "name", "kind", "time_ns"))
    return Span(*about, end_ns=None, args=record["args"], generation=generation, parent=parent)


def _stage_reached(spans: dict[int, Span], open_spans: list[int]) -> str | None:
    """Innermost stage that was running at the end, or the last one that ended."""
    named = [span for span in spans.values() if span.kind != "detail" and span.name != stage_names.TOTAL_EXECUTION]
    running = [span for span in named if span.number in open_spans]
    last = (running or named)[-1:]
    if not last:
        return None
    return stage_names.step_inference(last[0].args["step"]) if last[0].kind == "step" else last[0].name


def stages_of(recording: Recording, ended_ns: int) -> list[Stage]:
    """The stages, in the order of their beginning.

    A stage's own time is its extent less that of the stages inside it; `Total_Execution` keeps all of its
    extent. A step is split in two: loading is the time of weight transfers, inference the rest.

    Args:
        ended_ns: when the process ended; a stage that was still running is closed there.
    """
    spans = [span for span in recording.spans.values() if span.kind != "detail"]
    extents = {span.number: (span.start_ns, span.end_ns or ended_ns) for span in spans}
    inside: dict[int | None, list[Interval]] = defaultdict(list)
    for span in spans:
        inside[span.parent].append(extents[span.number])
    transfers: dict[int | None, list[Transfer]] = defaultdict(list)
    for transfer in recording.transfers:
        transfers[_stage_around(recording, transfer["span"])].append(transfer)
    stages: list[Stage] = []
    for span in spans:
        own_transfers, extent = transfers[span.number], extents[span.number]
        holes = [] if span.name == stage_names.TOTAL_EXECUTION else union(inside[span.number])
        args, intervals = span.args | _transfer_args(own_transfers), subtract([extent], holes)
        stage = Stage(span.name, span.generation, extent, intervals, args, span.end_ns is None)
        stages += _split_step(stage, own_transfers) if span.kind == "step" else [stage]
    return _one_compilation(stages)


def _stage_around(recording: Recording, number: int | None) -> int | None:
    """The span itself, or of a detail the stage or step that it lies in."""
    span = recording.spans.get(number)
    return span.parent if span and span.kind == "detail" else number


def _transfer_args(transfers: list[Transfer]) -> dict[str, Any]:
    if not transfers:
        return {}
    load, offload = ([each for each in transfers if each["direction"] == way] for way in ("load", "offload"))
    offloading = _waited(offload)
    return {
        "transfers": sum(each["transfers"] for each in transfers),
        "loading_s": total(subtract(_waited(transfers), offloading)) / 1e9,
        "offloading_s": total(offloading) / 1e9,
        "loaded_bytes": sum(each["bytes"] for each in load),
        "offloaded_bytes": sum(each["bytes"] for each in offload),
    }


def _waited(transfers: list[Transfer]) -> list[Interval]:
    return union(part for each in transfers for part in each["intervals"])


def _split_step(step: Stage, transfers: list[Transfer]) -> list[Stage]:
    """Memory peaks are those of the whole step, and stand with its inference; loading has none of its own."""
    waited = _waited(transfers)
    start_ns = waited[0][0] if waited else step.extent[0]
    extent, interrupted = (start_ns, start_ns + total(waited)), step.interrupted and not waited
    about = {key: step.args[key] for key in ("step", "expert") if key in step.args}
    peaks = {key: value for key, value in step.args.items() if key.startswith("gpu_mem_") or key == "passes_reused"}
    loading, inference = stage_names.step_loading(about["step"]), stage_names.step_inference(about["step"])
    return [
        Stage(loading, step.generation, extent, waited, about | _transfer_args(transfers), interrupted),
        replace(step, name=inference, intervals=subtract(step.intervals, waited), args=about | peaks),
    ]


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
