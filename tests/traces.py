"""Traces as the measuring process writes them, made by its own code from made-up times."""

import gzip
import json
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from conftest import ROOT
from example_cases import tiny_case
from wanbench.cases.case import Case, case_sha256
from wanbench.cases.yaml_file import read_yaml
from wanbench.measure.assemble import assemble
from wanbench.measure.attempt import Attempt
from wanbench.measure.outcome import Outcome
from wanbench.measure.spans import read_records
from wanbench.registry import stages as stage_names
from wanbench.telemetry.samples import Samples
from wanbench.trace.reader import read_trace
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_trace

S = 1_000_000_000
OK = Outcome("ok")
_THRESHOLDS = read_yaml(ROOT / "config/thresholds.yaml")
# Kept traces are large, and many tests look at all.
read_once = cache(read_trace)
LIMITS = Limits(**{field.name: _THRESHOLDS[field.name] for field in fields(Limits)})

HOST = {
    "software_deployment": "none",
    "conda_env": None,
    "python": "3.12.3",
    "packages": {"torch": "2.11.0", "diffusers": "0.42.1"},
    "platform": "Linux x86_64",
    "cpu_name": "Some CPU",
    "cpu_cores_logical": 16,
    "cpu_threads_torch": 16,
    "sys_mem_total_bytes": 128_000_000_000,
    "device": "cpu",
    "cuda": None,
    "gpu": None,
}
GPU = HOST | {
    "device": "cuda",
    "cuda": "13.0",
    "gpu": {"name": "NVIDIA H200", "uuid": "GPU-0", "mem_total_bytes": 150_000_000_000, "compute_capability": "9.0"},
}


def gpu_with(**facts: Any) -> dict[str, Any]:
    """The environment of a case on another GPU, such as one of another name or with less memory."""
    return GPU | {"gpu": GPU["gpu"] | facts}


class Recorder:
    """Writes records as a measuring process would, with times in seconds."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.count = 0
        self.now_s = 0.0

    def begin(self, name: str, kind: str = "stage", **args: Any) -> int:
        self.count += 1
        self.records.append(
            {"record": "begin", "span": self.count, "name": name, "kind": kind, "time_ns": self._now(), "args": args}
        )
        return self.count

    def end(self, span: int, **args: Any) -> None:
        self.records.append({"record": "end", "span": span, "time_ns": self._now(), "args": args})

    def stage(self, name: str, time_s: float, kind: str = "stage", end: dict | None = None, **args: Any) -> None:
        span = self.begin(name, kind, **args)
        self.now_s += time_s
        self.end(span, **(end or {}))

    def _now(self) -> int:
        return round(self.now_s * S)


def records(
    steps_s: list[float],
    *,
    init_s: float = 2.0,
    decode_s: float = 3.0,
    compile_s: float = 0.0,
    unnamed_s: float = 0.0,
    generations: int = 1,
    warmup: int = 0,
    experts: list[str] | None = None,
    environment: dict | None = None,
    peak_bytes: int | None = None,
    case: Case | None = None,
    finite: bool = True,
) -> list[dict[str, Any]]:
    """Records of a run whose stages take the given times; compilation is in the first step of all."""
    recorder = Recorder()
    peak = {} if peak_bytes is None else {"gpu_mem_allocated_bytes": peak_bytes, "gpu_mem_reserved_bytes": peak_bytes}
    recorder.stage(stage_names.PROCESS_STARTUP, 5.0)
    recorder.records.append({"record": "environment", "values": environment or HOST})
    total = recorder.begin(stage_names.TOTAL_EXECUTION)
    recorder.stage(stage_names.MODEL_INITIALIZATION, init_s, end=peak)
    for generation in range(generations):
        recorder.records.append({"record": "generation", "number": generation, "measured": generation >= warmup})
        preprocess = recorder.begin(stage_names.PREPROCESS)
        recorder.stage(stage_names.TEXT_ENCODING, 0.5, end=peak)
        recorder.now_s += 0.25
        recorder.end(preprocess, **peak)
        for i, step_s in enumerate(steps_s):
            which = {"expert": experts[i]} if experts else {}
            step = recorder.begin(f"Step_{i}", "step", step=i, steps=len(steps_s))
            if compile_s and generation == i == 0:
                recorder.stage(stage_names.COMPILATION, compile_s)
            recorder.now_s += step_s
            recorder.end(step, **peak | which)
        recorder.stage(stage_names.VAE_DECODING, decode_s, end=peak)
        recorder.stage(stage_names.VIDEO_EXPORT, 1.0, end=peak)
        recorder.now_s += unnamed_s
    recorder.end(total, **peak)
    settings = (case or tiny_case()).settings()
    applied = {key: settings[key] for key in ("size", "frames", "steps", "offload", "dtype")}
    recorder.records.append({"record": "result", "applied": applied, "output_finite": finite, "video_bytes": 9})
    return recorder.records


def host_samples(until_s: float, values: dict[str, float] | None = None) -> Samples:
    """Ten samples a second."""
    times_ns = [round(i * 0.1 * S) for i in range(round(until_s * 10) + 1)]
    reading = values or {"cpu_pct": 25.0, "process_cpu_pct": 20.0, "sys_mem_bytes": 8e9, "process_mem_bytes": 4e9}
    return Samples(times_ns, [reading] * len(times_ns), 0.1, 0)


def trace_of(
    rows: list[dict[str, Any]], case: Case | None = None, outcome: Outcome = OK, samples: Samples | None = None
) -> dict[str, Any]:
    """The trace of a run, as the supervisor assembles it; one that ended well has the steps that its case asks for."""
    case = case or tiny_case()
    if outcome == OK:
        case = replace(case, **_run_as_recorded(rows))
    ended_ns = max(row["time_ns"] for row in rows if "time_ns" in row) + S // 2
    digests = {"case_sha256": case_sha256(case), "measure": "m", "env": "e"}
    git = {"git_commit": "0123456789abcdef", "git_dirty": False}
    files = Path("results/traces/trace.json"), Path("log")
    attempt = Attempt(case, *files, digests, LIMITS, "run", started_at="2026-11-23T10:00:00+00:00")
    return assemble(attempt, ended_ns, read_records(rows), samples or host_samples(ended_ns / S), outcome) | git


def _run_as_recorded(rows: list[dict[str, Any]]) -> dict[str, int]:
    """The settings of a case that say how many stages of each name there are."""
    measured = [row["measured"] for row in rows if row["record"] == "generation"]
    steps = {row["args"]["steps"] for row in rows if row.get("kind") == "step"}
    return {"steps": steps.pop(), "warmup": measured.count(False), "repeats": measured.count(True)}


def write(folder: Path, trace: dict[str, Any]) -> Path:
    file = folder / f"{trace['case']['name']}.json"
    write_trace(file, trace)
    return file


def read_content(file: Path) -> dict[str, Any]:
    """What a trace file, kept or new, holds but for its checksum, which `write_trace` makes."""
    data = file.read_bytes()
    content = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
    del content["sha256"]
    return content


def change(file: Path, alter: Any) -> None:
    """Edit a trace file, with a checksum as if it had been measured so."""
    content = read_content(file)
    alter(content)
    write_trace(file, content)
