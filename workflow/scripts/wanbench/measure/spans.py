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


# A record of weight transfers between host and device, as `StageClock.transfers` writes it.
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
    recording.stage_reached = _stage_reached(recording.spans.values())
    return recording


def _opened(record: dict[str, Any], recording: Recording, open_spans: list[int]) -> Span:
    # The generation that began last is the one that runs.
    generation = None if record["name"] == stage_names.TOTAL_EXECUTION else max(recording.measured, default=None)
    parent = _stage_around(recording, open_spans[-1]) if open_spans else None
    about = (record[key] for key in ("span", "name", "kind", "time_ns"))
    return Span(*about, end_ns=None, args=record["args"], generation=generation, parent=parent)


def _stage_reached(spans: Iterable[Span]) -> str | None:
    """Innermost stage that was running at the end, or the last one that ended."""
    named = [span for span in spans if span.kind != "detail" and span.name != stage_names.TOTAL_EXECUTION]
    if not named:
        return None
    last = ([span for span in named if span.end_ns is None] or named)[-1]
    return stage_names.step_inference(last.args["step"]) if last.kind == "step" else last.name


def stages_of(recording: Recording, ended_ns: int) -> list[Stage]:
    """The stages, in the order of their beginning.

    A stage's own time is its extent less that of the stages inside it; `Total_Execution` keeps all of its
    extent. A step is split in two: loading is the time of weight transfers, inference the rest.

    Args:
        ended_ns: when the process ended; a stage that was still running is closed there.
    """
    spans = [span for span in recording.spans.values() if span.kind != "detail"]
    inside: dict[int | None, list[Interval]] = defaultdict(list)
    for span in spans:
        inside[span.parent].append((span.start_ns, span.end_ns or ended_ns))
    transfers: dict[int | None, list[Transfer]] = defaultdict(list)
    for transfer in recording.transfers:
        transfers[_stage_around(recording, transfer["span"])].append(transfer)
    stages: list[Stage] = []
    for span in spans:
        own_transfers, extent = transfers[span.number], (span.start_ns, span.end_ns or ended_ns)
        holes = [] if span.name == stage_names.TOTAL_EXECUTION else union(inside[span.number])
        stage = Stage(span.name, span.generation, extent, subtract([extent], holes), span.args, span.end_ns is None)
        if span.kind == "step":
            stages += _split_step(stage, own_transfers)
        else:
            stages.append(replace(stage, args=stage.args | _transfer_args(own_transfers)))
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
    args = {key: value for key, value in step.args.items() if key != "steps"}
    about = {key: value for key, value in args.items() if key in ("step", "expert")}
    loading, inference = stage_names.step_loading(args["step"]), stage_names.step_inference(args["step"])
    return [
        Stage(loading, step.generation, extent, waited, about | _transfer_args(transfers), interrupted),
        replace(step, name=inference, intervals=subtract(step.intervals, waited), args=args),
    ]


def _one_compilation(stages: list[Stage]) -> list[Stage]:
    """The stages with the compilations of each generation put together where the first of them stands."""
    kept: dict[Any, Stage] = {}
    for number, stage in enumerate(stages):
        key = (stage.name, stage.generation) if stage.name == stage_names.COMPILATION else number
        if key in kept:
            first = kept[key]
            peaks = {name: max(value, first.args.get(name, 0)) for name, value in stage.args.items()}
            extent, intervals = (first.extent[0], stage.extent[1]), first.intervals + stage.intervals
            stage = replace(stage, extent=extent, intervals=intervals, args=first.args | peaks)
        kept[key] = stage
    return list(kept.values())
