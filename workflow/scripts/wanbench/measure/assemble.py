"""Put a trace together from what the measured process and the sampler wrote down.

Works on whatever there is: a process that was killed leaves a shorter recording, and a trace all the same.
"""

from typing import Any

from wanbench.measure.attempt import Attempt
from wanbench.measure.outcome import Outcome
from wanbench.measure.quality import quality_of
from wanbench.measure.spans import Recording, Stage, stages_of
from wanbench.registry import stages as stage_names
from wanbench.registry.stage_metrics import READ
from wanbench.telemetry.samples import Samples, energy_of, stage_measures
from wanbench.util.redaction import redacted

# Sequential offload makes thousands of weight transfers. The stages hold their sums; the timeline shows the first.
_TRANSFERS_SHOWN = 500

_PROCESS_ID = 1
_TRACKS = {"stage": (2, "Stages"), "detail": (3, "Details"), "transfer": (4, "Weight transfers")}
# Operations that are counted; of preprocessing, those of VAE encoding.
_COUNTED = {
    stage_names.TEXT_ENCODING: "text_encoding",
    stage_names.VAE_DECODING: "vae_decoding",
    stage_names.PREPROCESS: "vae_encoding",
}


def assemble(
    attempt: Attempt, ended_ns: int, recording: Recording, samples: Samples, outcome: Outcome
) -> dict[str, Any]:
    """The trace as one JSON object but for git's state; its schema is `workflow/schemas/trace.schema.json`.

    Args:
        ended_ns: monotonic time of the attempt's end, in nanoseconds.
    """
    stages = stages_of(recording, ended_ns)
    result = recording.result or {}
    error = {"type": outcome.error_type, "message": outcome.message, "stage_reached": recording.stage_reached}
    return {
        "schema_version": stage_names.SCHEMA_VERSION,
        "status": outcome.status,
        "case": redacted(attempt.case.settings()),
        "digests": attempt.digests,
        "started_at": attempt.started_at,
        "total_duration_s": (ended_ns - attempt.spawned_ns) / 1e9,
        "error": None if outcome.status == stage_names.OK else error,
        "applied": result.get("applied"),
        "ran": result.get("ran"),
        "environment": _environment(recording, samples),
        "quality": quality_of(stages, recording.measured, samples, result.get("output_finite"), attempt.limits),
        "video_bytes": result.get("video_bytes"),
        "kept": recording.kept,
        "displayTimeUnit": "ms",
        "traceEvents": _events(attempt, recording, stages, samples),
    }


def _environment(recording: Recording, samples: Samples) -> dict[str, Any] | None:
    if recording.environment is None:
        return None
    matmul, telemetry = recording.matmul or {}, samples.gpu_telemetry
    if samples.by_gpm:
        found = {"counter": samples.counter_refreshes, "driver": samples.driver_refreshes}
        telemetry = telemetry | {f"gpm_{of}_refresh_found": refreshes is not None for of, refreshes in found.items()}
    rate = {"matmul_flops_per_s": matmul.get("flops_per_s"), "matmul_s": matmul.get("time_s")}
    return redacted(recording.environment | {"gpu_telemetry": telemetry} | rate)


def _events(attempt: Attempt, recording: Recording, stages: list[Stage], samples: Samples) -> list[dict[str, Any]]:
    def at_us(time_ns: int) -> float:
        return round((time_ns - attempt.spawned_ns) / 1e3, 3)

    def slice_(name: str, kind: str, start_ns: int, end_ns: int, args: dict[str, Any]) -> dict[str, Any]:
        head = {"name": name, "cat": kind, "ph": "X", "pid": _PROCESS_ID, "tid": _TRACKS[kind][0]}
        return head | {"ts": at_us(start_ns), "dur": round((end_ns - start_ns) / 1e3, 3), "args": args}

    events = [_label("process_name", 0, attempt.case.name)]
    events += [_label("thread_name", number, name) for number, name in _TRACKS.values()]
    events += [slice_(stage.name, "stage", *stage.extent, _stage_args(stage, recording, samples)) for stage in stages]
    events += [
        slice_(span.name, "detail", span.start_ns, span.end_ns, {"generation": span.generation} | span.args)
        for span in recording.spans.values()
        if span.kind == "detail" and span.end_ns is not None
    ]
    transfers = [(transfer, interval) for transfer in recording.transfers for interval in transfer["intervals"]]
    for transfer, interval in transfers[:_TRANSFERS_SHOWN]:
        # Of those that were recorded together nobody knows which of them an interval waited for.
        size = {"bytes": transfer["bytes"]} if transfer["transfers"] == 1 else {}
        events.append(slice_(f"{transfer['direction']} {transfer['module']}", "transfer", *interval, size))
    for time_ns, values in zip(samples.times_ns, samples.values):
        if time_ns >= attempt.spawned_ns:
            counter = {"ph": "C", "ts": at_us(time_ns), "pid": _PROCESS_ID}
            events += [counter | {"name": track, "args": lines} for track, lines in _counters(values).items()]
    return events


def _counters(values: dict[str, float]) -> dict[str, dict[str, float]]:
    """Lines by Perfetto track, in the track's unit, of the metrics that were read."""
    tracks: dict[str, dict[str, float]] = {}
    for key, metric in READ.items():
        if key in values:
            track, line, factor = metric.track
            tracks.setdefault(track, {})[line] = round(values[key] * factor, 4)
    return tracks


def _stage_args(stage: Stage, recording: Recording, samples: Samples) -> dict[str, Any]:
    is_inference = stage.name == stage_names.step_inference(stage.args.get("step", -1))
    flops = recording.flops.get("step" if is_inference else _COUNTED.get(stage.name))
    # With the stages that lie in it: of parts too short or too interleaved for a figure, the whole still has one.
    energy_j = energy_of(samples.energy, [stage.extent])
    args = {"generation": stage.generation, "measured": recording.measured.get(stage.generation, True)}
    args |= stage.measures
    if flops is not None and not stage.interrupted:
        args["flops"] = flops
    if energy_j is not None:
        args["extent_energy_j"] = energy_j
    return args | stage_measures(samples, stage.intervals, stage_names.is_step_loading(stage.name))


def _label(kind: str, track: int, text: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS_ID, "tid": track, "args": {"name": text}}
