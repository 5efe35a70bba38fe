"""The cases of one side of a comparison: what decides which belong together, and the figures that are compared."""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from wanbench.analysis.breakdown import Row, breakdown
from wanbench.analysis.tables import TableRow, TableRows, records, records_by_case, tables_of
from wanbench.findings.trust import others_cpu_pct
from wanbench.registry import stages as stage_names
from wanbench.registry.policies import MEASURE, MEASURES, STAGE, STEP_STAGES
from wanbench.registry.settings import PLACE, keys
from wanbench.trace.reader import Trace

# What a comparison says: the macros of words.j2, as functions.
_ENVIRONMENT = Environment(undefined=StrictUndefined, trim_blocks=True)
WORDS = _ENVIRONMENT.from_string(Path(__file__).with_name("words.j2").read_text("utf-8")).module
# A label, a limit and a permission decide nothing about a run, and an image or a LoRA is known by its digest.
_NO_EFFECT = ("name", "timeout_s", "unofficial_size", *keys(PLACE))
# How often something is measured, and not what.
_HOW_OFTEN = ("warmup", "repeats")
# What may differ, by the keys that have it: of the GPU, the environment and the GPU's state, and of the cases table.
_HARDWARE = {
    "GPU": "gpu_name",
    "GPU memory (bytes)": "gpu_mem_total_bytes",
    "power limit (W)": "gpu_power_limit_w",
    "platform": "platform",
    "CPU": "cpu_name",
    "logical cores": "cpu_cores_logical",
    "cores allowed": "cpu_cores_allowed",
    "CPU quota (cores)": "cpu_quota_cores",
    "memory limit (bytes)": "mem_limit_bytes",
    "CPU governor": "cpu_governor",
    "NUMA nodes": "cpu_numa_nodes",
    "niceness": "cpu_niceness",
    "persistence mode": "gpu_persistence_mode",
    "ECC": "gpu_ecc",
    "MIG mode": "gpu_mig_mode",
    "SM clock set (MHz)": "gpu_sm_clock_set_mhz",
}
_SOFTWARE = {
    "software deployment": "software_deployment",
    "Python": "python",
    "CUDA": "cuda",
    "driver": "gpu_driver",
    "threads of torch": "cpu_threads_torch",
    "measuring code": "measure_digest",
}
# Makes the median absolute deviation of normally distributed values their standard deviation
# (Rousseeuw and Croux 1993, "Alternatives to the Median Absolute Deviation").
_NORMAL = 1.4826
# The median of n normal values varies by this times their standard deviation over sqrt(n), for large n.
_MEDIAN_OVER_MEAN = math.sqrt(math.pi / 2)

# The median of a figure's values and its standard error, None for a single value; by kind ("measure" or "stage") and
# key, stages in the order of a report.
Figures = Mapping[tuple[str, str], tuple[float, float | None]]


@dataclass(frozen=True)
class SideCase:
    """A case of the baseline, or of this run; None for what is not known or recorded.

    Attributes:
        ended_well: with a video of numbers, or with one of which that is not known.
        doubt: why its figures give no verdict; empty where they do.
        cold_only: its figures are those of its first, cold generation.
        busy_pct: share of the machine's CPU that other processes had; None where that is not too much.
        settings: those that decide a run.
    """

    case: str
    started_at: str | None = None
    ended_well: bool = True
    doubt: str = ""
    cold_only: bool = True
    busy_pct: float | None = None
    gpu_uuids: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    how_often: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | None] | None = None
    figures: Figures = field(default_factory=dict)


def side_of(traces: Sequence[Trace], busy_machine_pct: float = 100.0) -> list[SideCase]:
    """The cases of traces; up to `busy_machine_pct` of the CPU, other processes change nothing."""
    tables = tables_of(traces)
    stages_of, values_of = records_by_case(tables.stages), tables.values.groupby(["trace", "key"])["value"].agg(list)
    return [
        _side_case(trace, case, stages_of.get(case["case"], []), values_of.get(number, {}), busy_machine_pct)
        for number, (trace, case) in enumerate(zip(traces, records(tables.cases)))
    ]


def _side_case(
    trace: Trace, case: TableRow, stages: TableRows, values: Mapping[str, list[float]], busy_machine_pct: float
) -> SideCase:
    environment = trace.environment or {}
    telemetry = environment.get("gpu_telemetry") or {}
    rows = breakdown(stages)
    others_pct = others_cpu_pct(rows)
    # A checkpoint folder is known by its digest as well, wherever it lies.
    no_effect = (*_NO_EFFECT, *_HOW_OFTEN, *(["checkpoint"] if trace.case["checkpoint_sha256"] else []))
    return SideCase(
        case=case["case"],
        started_at=case["started_at"],
        ended_well=case["status"] == stage_names.OK and case["output_finite"] is not False,
        doubt=WORDS.doubt(case["status"], case["failed_checks"].split()),
        cold_only=case["generation_s"] is None,
        busy_pct=others_pct if others_pct is not None and others_pct > busy_machine_pct else None,
        gpu_uuids=frozenset(telemetry.get("gpus") or filter(None, [case["gpu_uuid"]])),
        settings={key: value for key, value in trace.case.items() if key not in no_effect},
        how_often={key: trace.case[key] for key in _HOW_OFTEN},
        variables=environment.get("variables"),
        hardware=_hardware(case, environment, telemetry.get("state") or {}) if environment else {},
        software={what: case[column] for what, column in _SOFTWARE.items()} | environment.get("packages", {}),
        figures=_figures(rows, stages, values),
    )


def _hardware(case: TableRow, environment: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    # That there is no GPU is known as well.
    recorded = environment | {"gpu_name": case["gpu_name"] or "none"}
    recorded |= {key: case[key] for key in ("gpu_mem_total_bytes", "gpu_power_limit_w")}
    recorded |= {f"gpu_{key}": value for key, value in state.items() if value is not None}
    found = {what: recorded[key] for what, key in _HARDWARE.items() if key in recorded}
    node, nodes = state.get("numa_node"), environment.get("cpu_numa_nodes")
    if node is not None and nodes:
        # Not the node itself: two GPUs of a machine are compared, and may both be near.
        found["GPU at a NUMA node of these cores"] = str(node) in nodes.split(",")
    return found


def _figures(rows: Sequence[Row], stages: TableRows, values: Mapping[str, list[float]]) -> Figures:
    """The figures of a case, from its stages as a report lists them, its rows of the stages table, and its values."""
    found = {(MEASURE, key): values[key] for key in MEASURES if key in values}
    own: dict[str, list[float]] = defaultdict(list)
    for stage in stages:
        if stage["measured"] and not stage["interrupted"]:
            own[stage["stage"]].append(stage["time_s"])
    for row in rows:
        if stage_names.step_index(row.stage) is not None:
            found |= {(STAGE, name): values.get(key, []) for name, key in STEP_STAGES.items()}
        else:
            # Rows that only the breakdown has, and a compilation in a warm-up, have one value.
            found[STAGE, row.stage] = own[row.stage] or ([] if row.interrupted else [row.time_s])
    return {key: (statistics.median(each), _median_error(each)) for key, each in found.items() if each}


def _median_error(values: Sequence[float]) -> float | None:
    """Standard error of the median, from the median absolute deviation; None for one value, which has no spread."""
    if len(values) < 2:
        return None
    median = statistics.median(values)
    deviation = statistics.median(abs(value - median) for value in values)
    return _MEDIAN_OVER_MEAN * _NORMAL * deviation / math.sqrt(len(values))
