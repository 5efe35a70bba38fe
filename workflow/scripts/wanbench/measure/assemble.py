"""Put a trace together from what the measured process and the sampler wrote down.

Works on whatever there is: a process that was killed leaves a shorter recording, and a trace all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from wanbench.measure.outcome import Outcome
from wanbench.measure.quality import quality_of
from wanbench.measure.spans import Recording, Stage, Transfer, stages_of
from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import READ
from wanbench.telemetry.samples import Samples, energy_of, stage_measures
from wanbench.trace.verdict import Limits
from wanbench.util.intervals import Interval
from wanbench.util.redaction import redacted

# Sequential offload makes thousands of weight transfers. The stages hold their sums; the timeline shows the first.
_TRANSFERS_SHOWN = 500

_PROCESS_ID = 1
_TRACKS = {"stage": 2, "detail": 3, "transfer": 4}
_TRACK_NAMES = {"stage": "Stages", "detail": "Details", "transfer": "Weight transfers"}

# By Perfetto track and by reading in it: the name of its line, and the factor to the track's unit.
_COUNTERS: dict[str, dict[str, tuple[str, float]]] = {}
for _key, _metric in READ.items():
    _track, _line, _factor = _metric.track
    _COUNTERS.setdefault(_track, {})[_key] = (_line, _factor)


@dataclass(frozen=True)
class TraceHead:
    """What the supervisor knows about an attempt.

    Attributes:
        case: the resolved case.
        digests: SHA-256 of the case, digests of the measuring code and of its environment file.
        spawned_ns, ended_ns: life of the measured process, monotonic, in nanoseconds.
        started_at: wall-clock time of the start, ISO 8601 in UTC.
        git: commit of the measuring code, and whether it had changes.
        limits: for the verdict in the trace.
    """

    case: dict[str, Any]
    digests: dict[str, str]
    spawned_ns: int
    ended_ns: int
    started_at: str
    git: dict[str, Any]
    limits: Limits


def assemble(head: TraceHead, recording: Recording, samples: Samples, outcome: Outcome) -> dict[str, Any]:
    """The trace as one JSON object; its schema is `workflow/schemas/trace.schema.json`."""
    stages = stages_of(recording, head.ended_ns)
    result = recording.result or {}
    return {
        "schema_version": stage_names.SCHEMA_VERSION,
        "status": outcome.status,
        "case": redacted(head.case),
        "digests": head.digests,
        **head.git,
        "started_at": head.started_at,
        "total_duration_s": (head.ended_ns - head.spawned_ns) / 1e9,
        "error": _error(outcome, recording),
        "applied": result.get("applied"),
        "ran": result.get("ran"),
        "environment": _environment(recording, samples),
        "quality": quality_of(stages, recording.measured, samples, result.get("output_finite"), head.limits),
        "video_bytes": result.get("video_bytes"),
        "displayTimeUnit": "ms",
        "traceEvents": _events(head, recording, stages, samples),
    }


def _environment(recording: Recording, samples: Samples) -> dict[str, Any] | None:
    if recording.environment is None:
        return None
    matmul = recording.matmul or {}
    telemetry = samples.gpu_telemetry
    if samples.by_gpm:
        telemetry = telemetry | {
            "gpm_counter_refresh_found": samples.counter_refreshes is not None,
            "gpm_driver_refresh_found": samples.driver_refreshes is not None,
        }
    rate = {"matmul_flops_per_s": matmul.get("flops_per_s"), "matmul_s": matmul.get("time_s")}
    return redacted(recording.environment | {"gpu_telemetry": telemetry} | rate)


def _error(outcome: Outcome, recording: Recording) -> dict[str, Any] | None:
    if outcome.status == stage_names.OK:
        return None
    return {"type": outcome.error_type, "message": outcome.message, "stage_reached": recording.stage_reached}


def _events(head: TraceHead, recording: Recording, stages: list[Stage], samples: Samples) -> list[dict[str, Any]]:
    def at_us(time_ns: int) -> float:
        return round((time_ns - head.spawned_ns) / 1e3, 3)

    def slice_(name: str, kind: str, start_ns: int, end_ns: int, args: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": name,
            "cat": kind,
            "ph": "X",
            "ts": at_us(start_ns),
            "dur": round((end_ns - start_ns) / 1e3, 3),
            "pid": _PROCESS_ID,
            "tid": _TRACKS[kind],
            "args": args,
        }

    events = [_label("process_name", 0, head.case["name"])]
    events += [_label("thread_name", _TRACKS[kind], name) for kind, name in _TRACK_NAMES.items()]
    events += [slice_(stage.name, "stage", *stage.extent, _stage_args(stage, recording, samples)) for stage in stages]
    events += [
        slice_(span.name, "detail", span.start_ns, span.end_ns, {"generation": span.generation} | span.args)
        for span in recording.spans.values()
        if span.kind == "detail" and span.end_ns is not None
    ]
    events += [
        slice_(f"{transfer.direction} {transfer.module}", "transfer", *interval, args)
        for transfer, interval, args in islice(_transfers(recording), _TRANSFERS_SHOWN)
    ]
    for time_ns, values in zip(samples.times_ns, samples.values):
        if time_ns >= head.spawned_ns:
            events += [
                {"name": track, "ph": "C", "ts": at_us(time_ns), "pid": _PROCESS_ID, "args": lines}
                for track, lines in _counters(values).items()
            ]
    return events


def _transfers(recording: Recording) -> Iterator[tuple[Transfer, Interval, dict[str, int]]]:
    for transfer in recording.transfers:
        # Of those that were recorded together nobody knows which of them an interval waited for.
        size = {"bytes": transfer.size_bytes} if transfer.count == 1 else {}
        yield from ((transfer, interval, size) for interval in transfer.intervals)


def _counters(values: dict[str, float]) -> dict[str, dict[str, float]]:
    """Lines by track, of the metrics that were read."""
    tracks = {
        track: {line: round(values[metric] * factor, 4) for metric, (line, factor) in lines.items() if metric in values}
        for track, lines in _COUNTERS.items()
    }
    return {track: lines for track, lines in tracks.items() if lines}


def _stage_args(stage: Stage, recording: Recording, samples: Samples) -> dict[str, Any]:
    measured = True if stage.generation is None else recording.measured[stage.generation]
    head = {"generation": stage.generation, "measured": measured, "time_s": stage.time_ns / 1e9}
    if stage.interrupted:
        head["interrupted"] = True
    flops = _flops(stage, recording.flops)
    if flops is not None:
        head["flops"] = flops
    # With the stages that lie in it: of parts too short or too interleaved for a figure, the whole still has one.
    extent_energy_j = energy_of(samples.energy, [stage.extent])
    if extent_energy_j is not None:
        head["extent_energy_j"] = extent_energy_j
    return head | stage.args | stage_measures(samples, stage.intervals, stage_names.is_step_loading(stage.name))


def _flops(stage: Stage, flops: dict[str, int | None]) -> int | None:
    """Operations of a stage that ran to its end; of preprocessing, those of VAE encoding."""
    if stage.interrupted:
        return None
    if "step" in stage.args:
        return flops.get("step") if stage.name == stage_names.step_inference(stage.args["step"]) else None
    kinds = {
        stage_names.TEXT_ENCODING: "text_encoding",
        stage_names.VAE_DECODING: "vae_decoding",
        stage_names.PREPROCESS: "vae_encoding",
    }
    return flops.get(kinds.get(stage.name, ""))


def _label(kind: str, track: int, text: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS_ID, "tid": track, "args": {"name": text}}
