"""One side of a comparison: the tables of its traces, and what decides which cases belong together."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.tables import TraceTables, records_by_case, tables_of
from wanbench.compare.policy import MEASURE, MEASURES, STAGE, STEP_STAGES
from wanbench.findings.disturbed import others_cpu_pct
from wanbench.registry import stages as stage_names
from wanbench.registry.settings import PLACE, keys
from wanbench.trace.reader import Trace

# A label, a limit and a permission decide nothing about a run, and an image or a LoRA is known by its digest.
_NO_EFFECT = ("name", "timeout_s", "unofficial_size", *keys(PLACE))
# How often something is measured, and not what.
_HOW_OFTEN = ("warmup", "repeats")
_HARDWARE = {
    "GPU": "gpu_name",
    "GPU memory (bytes)": "gpu_mem_total_bytes",
    "power limit (W)": "gpu_power_limit_w",
    "platform": "platform",
    "CPU": "cpu_name",
    "logical cores": "cpu_cores_logical",
}
# Of traces that record them: by name, the key of the environment.
_LIMITS = {
    "cores allowed": "cpu_cores_allowed",
    "CPU quota (cores)": "cpu_quota_cores",
    "memory limit (bytes)": "mem_limit_bytes",
    "CPU governor": "cpu_governor",
    "NUMA nodes": "cpu_numa_nodes",
    "niceness": "cpu_niceness",
}
# The same, of the GPU's state.
_STATE = {
    "persistence mode": "persistence_mode",
    "ECC": "ecc",
    "MIG mode": "mig_mode",
    "SM clock set (MHz)": "sm_clock_set_mhz",
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
_COLUMNS = (
    *("case", "status", "started_at", "output_finite", "doubt", "cold_only", "busy_pct", "gpu_uuids"),
    *("settings", "how_often", "hardware", "software", "variables", "settings_key", "how_often_key"),
)


@dataclass(frozen=True)
class Side:
    """The baseline, or this run.

    Attributes:
        cases: one row a case: `case`; `status`; `started_at`; `output_finite`, None where it is not known; `doubt`, why
            its figures give no verdict, None where they do; `cold_only`, its figures are those of its first, cold
            generation; `busy_pct`, share of the machine's CPU that other processes had, None where that is not too
            much; `gpu_uuids`, a set; and what may differ, by name: `settings`, only those that decide a run,
            `how_often`, `hardware`, `software`, and `variables`, None where they are not recorded. The two texts
            `settings_key` and `how_often_key` are for merges.
        spread: one row for each measure and stage of each case that was measured, stages in the order of a report:
            `case`; `kind` ("measure" or "stage"); `key`; of its values `value`, the median, which for a measure is
            that of the cases table, and `standard_error`, empty for a single value.
    """

    cases: pd.DataFrame
    spread: pd.DataFrame


def side_of(traces: Sequence[Trace], busy_machine_pct: float = 100.0) -> Side:
    """
    Args:
        busy_machine_pct: up to which share of the CPU other processes change nothing.
    """
    tables = tables_of(traces)
    cases, stages = records_by_case(tables.cases), records_by_case(tables.stages)
    named = [(trace, trace.case["name"]) for trace in traces]
    rows = [_case_row(trace, cases[name][0], stages.get(name, []), busy_machine_pct) for trace, name in named]
    return side(rows, _spread(tables))


def side(rows: list[dict[str, Any]], spread: pd.DataFrame) -> Side:
    """The side of these cases, with texts to merge by."""
    for row in rows:
        row |= {f"{key}_key": json.dumps(row[key], sort_keys=True) for key in ("settings", "how_often")}
    return Side(pd.DataFrame(rows, columns=_COLUMNS, dtype=object), spread)


def ended_well(case: pd.Series) -> bool:
    return case["status"] == stage_names.OK and case["output_finite"] is not False


def _case_row(
    trace: Trace, case: dict[str, Any], stages: list[dict[str, Any]], busy_machine_pct: float
) -> dict[str, Any]:
    environment = trace.environment or {}
    gpus = (environment.get("gpu_telemetry") or {}).get("gpus") or filter(None, [case["gpu_uuid"]])
    others_pct = others_cpu_pct(breakdown(stages))
    # A checkpoint folder is known by its digest as well, wherever it lies.
    no_effect = (*_NO_EFFECT, *_HOW_OFTEN, *(["checkpoint"] if trace.case["checkpoint_sha256"] else []))
    hardware = {what: case[column] for what, column in _HARDWARE.items()}
    # That there is no GPU is known as well.
    hardware["GPU"] = hardware["GPU"] or "none"
    hardware |= {what: environment[key] for what, key in _LIMITS.items() if key in environment}
    state = (environment.get("gpu_telemetry") or {}).get("state") or {}
    hardware |= {what: state[key] for what, key in _STATE.items() if state.get(key) is not None}
    node, nodes = state.get("numa_node"), environment.get("cpu_numa_nodes")
    if node is not None and nodes:
        # Not the node itself: two GPUs of a machine are compared, and may both be near.
        hardware["GPU at a NUMA node of these cores"] = str(node) in nodes.split(",")
    return {key: case[key] for key in ("case", "status", "started_at", "output_finite")} | {
        "doubt": _doubt(case),
        "cold_only": case["generation_s"] is None,
        "busy_pct": others_pct if others_pct is not None and others_pct > busy_machine_pct else None,
        "gpu_uuids": frozenset(gpus),
        "settings": {key: value for key, value in trace.case.items() if key not in no_effect},
        "how_often": {key: trace.case[key] for key in _HOW_OFTEN},
        "variables": environment.get("variables"),
        "hardware": hardware if environment else {},
        "software": {what: case[column] for what, column in _SOFTWARE.items()} | environment.get("packages", {}),
    }


def _doubt(case: dict[str, Any]) -> str | None:
    if case["status"] != stage_names.OK:
        return f"ended with {case['status']}"
    failed_checks = case["failed_checks"].replace(" ", ", ").replace("_", " ")
    return f"check: {failed_checks}" if failed_checks else None


def _spread(tables: TraceTables) -> pd.DataFrame:
    cases = tables.cases["case"]
    values = tables.values.assign(case=tables.values["trace"].map(cases), kind=MEASURE)
    long = pd.concat([values[values["key"].isin(MEASURES)], _stage_values(tables, values)])
    grouped = long.groupby(["case", "kind", "key"], sort=False)["value"]
    return grouped.agg(value="median", standard_error=_median_error).reset_index()


def _median_error(values: pd.Series) -> float | None:
    """Standard error of the median, from the median absolute deviation; None for one value, which has no spread."""
    deviation = (values - values.median()).abs().median()
    return _MEDIAN_OVER_MEAN * _NORMAL * deviation / math.sqrt(len(values)) if len(values) > 1 else None


def _stage_values(tables: TraceTables, values: pd.DataFrame) -> pd.DataFrame:
    stages = tables.stages
    own = (
        stages[stages["measured"] & ~stages["interrupted"].fillna(False)].groupby(["case", "stage"])["time_s"].agg(list)
    )
    figures = values.groupby(["case", "key"])["value"].agg(list)
    rows = []
    for case, records in records_by_case(stages).items():
        times_s: dict[str, list[float]] = {}
        for row in breakdown(records):
            if stage_names.step_index(row.stage) is not None:
                times_s |= {name: figures.get((case, key), []) for name, key in STEP_STAGES.items()}
            else:
                # Rows that only the breakdown has, and a compilation in a warm-up, have one value.
                times_s[row.stage] = own.get((case, row.stage), [] if row.interrupted else [row.time_s])
        rows += [(case, STAGE, stage, value) for stage, each in times_s.items() for value in each]
    return pd.DataFrame(rows, columns=["case", "kind", "key", "value"])
