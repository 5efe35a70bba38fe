"""Put a trace together from what the measuring process and the sampler wrote down.

Works on whatever there is: a process that was killed leaves a shorter recording, and a trace all the same.
"""

from dataclasses import dataclass
from typing import Any

from wanbench.measure.outcome import OK, Outcome
from wanbench.measure.quality import judge
from wanbench.measure.redact import redacted
from wanbench.measure.samples import Samples, stage_measures
from wanbench.measure.spans import Recording, Stage, stages_of
from wanbench.trace import names

# Sequential offload moves weights thousands of times. The stages hold their sums; the timeline shows the first.
_MOVES_SHOWN = 500

_PROCESS_ID = 1
_TRACKS = {"stage": 1, "detail": 2, "move": 3}
_TRACK_NAMES = {"stage": "Stages", "detail": "Details", "move": "Weight moves"}

# One track a kind: metric, name of its track, and the factor from the metric's unit to the track's.
_COUNTERS = {
    "cpu_pct": ("CPU (%)", 1.0),
    "process_cpu_pct": ("CPU of the measured process (%)", 1.0),
    "sys_mem_bytes": ("System memory (GB)", 1e-9),
    "process_mem_bytes": ("Memory of the measured process (GB)", 1e-9),
}


@dataclass(frozen=True)
class Attempt:
    """What the supervisor knows about an attempt.

    Attributes:
        case: the resolved case.
        digests: SHA-256 of the case, digests of the measuring code and of its environment file.
        spawned_ns, ended_ns: life of the measuring process, monotonic, in nanoseconds.
        started_at: wall-clock time of the start, ISO 8601 in UTC.
        git: commit of the measuring code, and whether it had changes.
    """

    case: dict[str, Any]
    digests: dict[str, str]
    spawned_ns: int
    ended_ns: int
    started_at: str
    git: dict[str, Any]


def assemble(attempt: Attempt, recording: Recording, samples: Samples, outcome: Outcome) -> dict[str, Any]:
    """The trace as one JSON object; its schema is `workflow/schemas/trace.schema.json`."""
    stages = stages_of(recording, attempt.ended_ns)
    result = recording.result or {}
    return {
        "schema_version": names.SCHEMA_VERSION,
        "status": outcome.status,
        "case": redacted(attempt.case),
        "digests": attempt.digests,
        "started_at": attempt.started_at,
        "total_duration_s": (attempt.ended_ns - attempt.spawned_ns) / 1e9,
        "error": _error(outcome, recording),
        "applied": result.get("applied"),
        "environment": redacted((recording.environment or {}) | attempt.git) if recording.environment else None,
        "quality": judge(stages, samples, result.get("output_finite")),
        "video_bytes": result.get("video_bytes"),
        "displayTimeUnit": "ms",
        "traceEvents": _events(attempt, recording, stages, samples),
    }


def _error(outcome: Outcome, recording: Recording) -> dict[str, Any] | None:
    if outcome.status == OK:
        return None
    return redacted({"type": outcome.error_type, "message": outcome.message, "stage_reached": recording.stage_reached})


def _events(attempt: Attempt, recording: Recording, stages: list[Stage], samples: Samples) -> list[dict[str, Any]]:
    def at_us(time_ns: int) -> float:
        return round((time_ns - attempt.spawned_ns) / 1e3, 3)

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

    events = [_label("process_name", 0, attempt.case["name"])]
    events += [_label("thread_name", _TRACKS[kind], name) for kind, name in _TRACK_NAMES.items()]
    events += [slice_(stage.name, "stage", *stage.extent, _stage_args(stage, recording, samples)) for stage in stages]
    events += [
        slice_(span.name, "detail", span.start_ns, span.end_ns, {"generation": span.generation} | span.args)
        for span in recording.spans.values()
        if span.kind == "detail" and span.end_ns is not None
    ]
    events += [
        slice_(f"{move.direction} {move.module}", "move", *move.interval, {"bytes": move.size_bytes})
        for move in recording.moves[:_MOVES_SHOWN]
    ]
    for time_ns, values in zip(samples.times_ns, samples.values):
        if time_ns >= attempt.spawned_ns:
            events += [
                {
                    "name": track,
                    "ph": "C",
                    "ts": at_us(time_ns),
                    "pid": _PROCESS_ID,
                    "args": {metric: round(values[metric] * factor, 4)},
                }
                for metric, (track, factor) in _COUNTERS.items()
                if metric in values
            ]
    return events


def _stage_args(stage: Stage, recording: Recording, samples: Samples) -> dict[str, Any]:
    counted = True if stage.generation is None else recording.counted[stage.generation]
    head = {"generation": stage.generation, "counted": counted, "time_s": stage.time_ns / 1e9}
    if stage.interrupted:
        head["interrupted"] = True
    return head | stage.args | stage_measures(samples, stage.intervals)


def _label(kind: str, track: int, text: str) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": _PROCESS_ID, "tid": track, "args": {"name": text}}
