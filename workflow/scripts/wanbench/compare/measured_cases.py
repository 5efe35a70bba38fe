"""One case of one run as the comparison takes it, whether from a trace or from a report."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from wanbench.analysis.breakdown import Row, breakdown
from wanbench.analysis.figures import figures_of, steps_of, typical_energies_j, typical_times_s
from wanbench.analysis.generations import cold, generations_of, warm
from wanbench.analysis.robust import median_error
from wanbench.analysis.tables import stage_records
from wanbench.findings.disturbed import others_cpu_pct
from wanbench.registry import stages as stage_names
from wanbench.trace.reader import Trace

FIRST_STEP, TYPICAL_STEP, SWITCH_STEP = "First_Step", "Typical_Step", "Switch_Step"

# A label, a limit and a permission decide nothing about a run, and an image is known by its digest.
_NO_EFFECT = ("name", "timeout_s", "unofficial_size", "image")
# How often something is measured, and not what.
_HOW_OFTEN = ("warmup", "repeats")


@dataclass(frozen=True)
class Figure:
    """A median with its standard error, in SI units; None where not measured, or where one value has no spread."""

    value: float | None = None
    error: float | None = None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Figure":
        known = [value for value in values if value is not None]
        return cls(statistics.median(known), median_error(known)) if known else cls()


@dataclass(frozen=True)
class MeasuredCase:
    """A case of the baseline or of this run.

    Attributes:
        status: how it ended; None where a report does not say.
        doubt: why its figures give no verdict; None where they do.
        settings: by key of the grid file, only those that decide a run; a key that is missing is unknown.
        how_often: the keys of the grid file that say how often it is measured; empty where unknown.
        started_at: when it was measured; None where a report does not say.
        busy_pct: share of the machine's CPU that other processes had, where that is too much; else None.
        cold_only: its figures are those of its first, cold generation, for want of another; None where unknown.
        hardware, software: names and versions; empty where unknown.
        gpu_uuids: which GPUs of their name it ran on; empty where unknown, or on none.
        output_finite: whether the video consists of numbers; None where it does not say.
        figures: by measure of the rules in `policy`.
        stages: times by stage, in order, the steps as three: first, typical and expert switch.
    """

    name: str
    status: str | None
    doubt: str | None
    settings: dict[str, Any]
    hardware: dict[str, Any]
    software: dict[str, Any]
    figures: dict[str, Figure]
    stages: dict[str, Figure]
    gpu_uuids: frozenset[str] = frozenset()
    output_finite: bool | None = None
    how_often: dict[str, Any] = field(default_factory=dict)
    cold_only: bool | None = None
    started_at: str | None = None
    busy_pct: float | None = None

    @property
    def ended_well(self) -> bool:
        return self.status == stage_names.OK and self.output_finite is not False

    def same_measurement(self, other: "MeasuredCase") -> bool:
        """Both are what one and the same run measured, whatever their files are called or hold beside it."""
        # Two cases may begin in one second, and no two take the same time to the microsecond.
        return self.started_at is not None and (self.started_at, self.figures, self.stages) == (
            other.started_at,
            other.figures,
            other.stages,
        )


def measured_cases(traces: Iterable[Trace], busy_machine_pct: float) -> list[MeasuredCase]:
    """
    Args:
        busy_machine_pct: as `measured_case` takes it.
    """
    return [measured_case(trace, busy_machine_pct) for trace in traces]


def measured_case(trace: Trace, busy_machine_pct: float = 100.0) -> MeasuredCase:
    """
    Args:
        busy_machine_pct: up to which share of the CPU other processes are nothing to say.
    """
    environment, rows = trace.environment or {}, breakdown(stage_records(trace))
    others_pct = others_cpu_pct(rows)
    return MeasuredCase(
        name=trace.case["name"],
        status=trace.status,
        doubt=_doubt(trace),
        settings=_deciding(trace.case),
        hardware=_hardware(environment),
        software=_software(environment) | {"measuring code": trace.digests["measure"]},
        figures=_figures(trace),
        stages=_stages(trace, rows),
        gpu_uuids=_gpu_uuids(environment),
        output_finite=trace.quality.get("output_finite"),
        how_often={key: trace.case[key] for key in _HOW_OFTEN},
        cold_only=not warm(generations_of(trace.stages)),
        started_at=trace.started_at,
        busy_pct=others_pct if others_pct is not None and others_pct > busy_machine_pct else None,
    )


def _doubt(trace: Trace) -> str | None:
    if trace.status != stage_names.OK:
        return f"ended with {trace.status}"
    failed_checks = ", ".join(trace.quality["failed_checks"]).replace("_", " ")
    return f"check: {failed_checks}" if failed_checks else None


def _deciding(case: dict[str, Any]) -> dict[str, Any]:
    # A checkpoint folder is known by its digest as well, wherever it lies.
    no_effect = (*_NO_EFFECT, *_HOW_OFTEN, *(["checkpoint"] if case["checkpoint_sha256"] else []))
    return {key: value for key, value in case.items() if key not in no_effect}


def _gpu_uuids(environment: dict[str, Any]) -> frozenset[str]:
    gpu, telemetry = environment.get("gpu") or {}, environment.get("gpu_telemetry") or {}
    return frozenset(telemetry.get("gpus") or filter(None, [gpu.get("uuid")]))


def _hardware(environment: dict[str, Any]) -> dict[str, Any]:
    if not environment:
        return {}
    gpu, telemetry = environment.get("gpu") or {}, environment.get("gpu_telemetry") or {}
    return {
        "GPU": gpu.get("name", "none"),
        "GPU memory (bytes)": gpu.get("mem_total_bytes"),
        "power limit (W)": telemetry.get("power_limit_w"),
        "platform": environment.get("platform"),
        "CPU": environment.get("cpu_name"),
        "logical cores": environment.get("cpu_cores_logical"),
    }


def _software(environment: dict[str, Any]) -> dict[str, Any]:
    return {
        "software deployment": environment.get("software_deployment"),
        "Python": environment.get("python"),
        **environment.get("packages", {}),
        "CUDA": environment.get("cuda"),
        "driver": (environment.get("gpu_telemetry") or {}).get("driver"),
        "threads of torch": environment.get("cpu_threads_torch"),
    }


def _figures(trace: Trace) -> dict[str, Figure]:
    steps = steps_of((stage for stage in trace.stages if stage.measured), trace.energy_counter)
    generations = generations_of(trace.stages, trace.energy_counter)
    further = [generation.without_compilation() for generation in warm(generations) or cold(generations)]
    peaks = figures_of(trace)
    # Making random weights is no loading, and its time says nothing.
    loaded = trace.case["weights"] == "pretrained"
    return {
        "step_s": Figure.of(typical_times_s(trace, steps)),
        "first_step_s": Figure.of(step.time_s for step in steps if step.index == 0),
        "text_encoding_s": Figure.of(_times_s(trace, stage_names.TEXT_ENCODING)),
        "vae_decoding_s": Figure.of(_times_s(trace, stage_names.VAE_DECODING)),
        "cold_generation_s": Figure.of(generation.time_s for generation in cold(generations)),
        "warm_generation_s": Figure.of(generation.time_s for generation in warm(generations)),
        "model_initialization_s": Figure.of(_times_s(trace, stage_names.MODEL_INITIALIZATION)) if loaded else Figure(),
        "gpu_mem_bytes": Figure.of([peaks.gpu_mem_allocated_bytes]),
        "process_mem_bytes": Figure.of([peaks.process_mem_bytes]),
        "step_energy_j": Figure.of(typical_energies_j(trace, steps)),
        "generation_energy_j": Figure.of(generation.energy_j for generation in further),
        "total_duration_s": Figure.of([trace.total_duration_s]),
        "comp_load_pct_s": Figure.of([peaks.total_comp_load_pct_s]),
    }


def _times_s(trace: Trace, name: str) -> list[float]:
    """Times of a stage in the generations that count, without what a failure cut short."""
    return [
        stage.measures["time_s"]
        for stage in trace.stages
        if stage.name == name and stage.measured and not stage.measures.get("interrupted")
    ]


def _stages(trace: Trace, rows: Iterable[Row]) -> dict[str, Figure]:
    steps = steps_of(stage for stage in trace.stages if stage.measured)
    times: dict[str, Figure] = {}
    for row in rows:
        if stage_names.step_index(row.stage) is None:
            # Rows that only the breakdown has, and a compilation in a warm-up, have the one value that stands there.
            times[row.stage] = Figure.of(_times_s(trace, row.stage) or [None if row.interrupted else row.time_s])
        elif FIRST_STEP not in times:
            times[FIRST_STEP] = Figure.of(step.time_s for step in steps if step.index == 0)
            times[TYPICAL_STEP] = Figure.of(typical_times_s(trace, steps))
            times[SWITCH_STEP] = Figure.of(step.time_s for step in steps if step.is_switch)
    return {stage: figure for stage, figure in times.items() if figure.value is not None}
