"""Typed tables of all cases, stages and details. Empty means not measured; 0 means measured, and zero."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wanbench.analysis.collect import Excluded
from wanbench.analysis.figures import values_of
from wanbench.cases.case import Case
from wanbench.cases.scale import LEAST_FULL_BYTES
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.models.facts import LONGEST_PROMPT_TOKENS
from wanbench.registry import stages as stage_names
from wanbench.registry.metrics import CASE_COLUMNS, DETAIL_COLUMNS, EXCLUDED_COLUMNS, FIDELITY_COLUMNS, STAGE_COLUMNS
from wanbench.trace.reader import Trace
from wanbench.util.text import cut, visible

# What Excel and its like take for the beginning of a formula (OWASP, "CSV Injection").
_FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# A cell of Excel holds 32,767 characters.
_LONGEST_CELL = 30_000
_TRANSFERS = ("transfers", "loading_s", "offloading_s", "loaded_bytes", "offloaded_bytes")
_OF_TRACE = ("status", "started_at", "git_commit", "git_dirty", "git_changed", "image_changes", "video_bytes")

# A row of a table by column, None for what is empty; and rows.
TableRow = Mapping[str, Any]
TableRows = Sequence[TableRow]


@dataclass(frozen=True)
class TraceTables:
    """The tables that are made of traces, and in `values` what the figures in `cases` are medians of."""

    cases: pd.DataFrame
    stages: pd.DataFrame
    details: pd.DataFrame
    values: pd.DataFrame


def tables_of(traces: Iterable[Trace]) -> TraceTables:
    """The tables of traces, each of them in the order of the traces."""
    traces = list(traces)
    stages = stages_table(traces)
    of_all = [(trace.case["name"], detail) for trace in traces for detail in trace.details]
    details = typed((vars(detail) | {"case": case, "detail": detail.name} for case, detail in of_all), DETAIL_COLUMNS)
    numbers = range(len(traces))
    numbered = [
        table.assign(trace=np.repeat(numbers, [len(getattr(trace, name)) for trace in traces]))
        for name, table in (("stages", stages), ("details", details))
    ]
    values = values_of(*numbered, traces)
    of_traces = pd.DataFrame([_case_row(trace) for trace in traces], index=numbers, dtype=object)
    medians = values.groupby(["trace", "key"])["value"].median().unstack("key")
    cases = of_traces.join(medians).reindex(columns=list(CASE_COLUMNS)).astype(CASE_COLUMNS)
    return TraceTables(cases, stages, details, values)


def cases_table(traces: Iterable[Trace]) -> pd.DataFrame:
    return tables_of(traces).cases


def stages_table(traces: Iterable[Trace]) -> pd.DataFrame:
    return typed((row for trace in traces for row in _stage_rows(trace)), STAGE_COLUMNS)


def _stage_rows(trace: Trace) -> Iterator[dict[str, Any]]:
    for stage in trace.stages:
        # Transfers would have been seen, but in a stage that was cut short before it could tell, and in the export,
        # where the pipeline itself takes all weights off the device, which is not watched.
        watched = stage.generation is not None and stage.name != stage_names.VIDEO_EXPORT
        seen = dict.fromkeys(_TRANSFERS, 0) if watched and not stage.measures.get("interrupted") else {}
        head = {"case": trace.case["name"], "stage": stage.name, "measured": stage.measured, "excluded": stage.excluded}
        times = {"generation": stage.generation, "start_s": stage.start_s, "extent_s": stage.extent_s}
        yield head | times | seen | stage.measures


def excluded_table(excluded: Iterable[Excluded]) -> pd.DataFrame:
    """One row for each trace that is not used."""
    return typed((asdict(item) for item in excluded), EXCLUDED_COLUMNS)


def typed(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """A table of these columns and types."""
    return pd.DataFrame(list(rows), columns=list(columns), dtype=object).astype(dict(columns))


def with_fidelity(cases: pd.DataFrame, fidelity: pd.DataFrame) -> pd.DataFrame:
    """The cases table with what is known of each video beside its baseline's."""
    # Of another video of that name, as where a table was kept, nothing is told.
    same = ["case", "frames_sha256"]
    found = cases[same].merge(fidelity.dropna(subset=same), on=same, how="left").set_index(cases.index)
    return cases.assign(**{key: found[key] for key in FIDELITY_COLUMNS if key not in same})


def read_table(csv: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """A table that `write_table` has written, of columns whose texts need not be made harmless."""
    table = pd.read_csv(csv, dtype=dict(columns), keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    return table.reindex(columns=list(columns)).astype(dict(columns))


def write_table(table: pd.DataFrame, csv: Path, parquet: Path) -> None:
    """The same table as text for people and as typed columns for programs.

    Texts in the CSV are made harmless: an apostrophe stands before what a spreadsheet would take for a formula, control
    characters are escaped, and a cell ends where spreadsheets end it. The Parquet file holds them as they are. With
    letters beyond ASCII the CSV begins with a byte order mark, without which Excel takes them for others.
    """
    harmless = {name: table[name].map(_cell, na_action="ignore") for name in table.select_dtypes("string").columns}
    text = table.assign(**harmless).to_csv(index=False)
    csv.parent.mkdir(parents=True, exist_ok=True)
    csv.write_text(text, "utf-8" if text.isascii() else "utf-8-sig", newline="")
    table.to_parquet(parquet, index=False)


def _cell(text: str) -> str:
    text = visible(cut(text, _LONGEST_CELL))
    return f"'{text}" if text.lstrip().startswith(_FORMULAS) else text


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain values, None for what is empty: to look into a Series takes fifty times as long."""
    columns = [table[name].array.to_numpy(object, na_value=None).tolist() for name in table]
    return [dict(zip(table, values)) for values in zip(*columns)]


def records_by_case(table: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    by_case: dict[str, list[dict[str, Any]]] = {}
    for row in records(table):
        by_case.setdefault(row["case"], []).append(row)
    return by_case


def _is_tiny(trace: Trace) -> bool:
    """Whether what was loaded is too small for the model that its case names; random weights have a scale."""
    return any(stage.measures.get("checkpoint_bytes", math.inf) < LEAST_FULL_BYTES for stage in trace.stages)


def _case_row(trace: Trace) -> dict[str, Any]:
    # What was applied wins over what was asked for; a case that failed early has only the latter.
    ran = trace.case | (trace.applied or {})
    really = trace.ran or {}
    environment, quality, error = trace.environment or {}, trace.quality, trace.error or {}
    telemetry, throttled_pct = environment.get("gpu_telemetry") or {}, quality.get("throttled_pct")
    change, stages = quality["step_time_change"] or {}, trace.stages
    packages = environment.get("packages", {})
    placement = {detail.name: detail.time_s for detail in reversed(trace.details)}
    groups = {"gpu_telemetry": telemetry, "error": error, "step_change": change}
    groups["gpu"] = (environment.get("gpu") or {}) | telemetry | (telemetry.get("state") or {})
    found = {f"{group}_{key}": value for group, values in groups.items() for key, value in values.items()}
    found |= telemetry | ran | environment | quality
    found |= {f"{reason}_pct": share for reason, share in (throttled_pct or {}).items()}
    found |= {key: getattr(trace, key) for key in _OF_TRACE}
    return {key: found[key] for key in CASE_COLUMNS if key in found} | {
        "case": trace.case["name"],
        "guidance": guidance_text(ran["guidance"], really.get("guidance_on", ran["guidance"][0] > 1)),
        "guidance_first": ran["guidance"][0],
        "guidance_second": ran["guidance"][1] if len(ran["guidance"]) > 1 else None,
        **{key: really.get(key) for key in ("attention_kernel", "compiled_frames")},
        **{f"{key}_cut": _cut(really.get(key)) for key in ("prompt_tokens", "negative_prompt_tokens")},
        # Compiled, the detail holds what torch.compile prepares as well, seconds against the hundredths of placing.
        "placement_s": placement.get("Placement") if ran["compile"] == "none" else None,
        "estimated_peak_bytes": None if _is_tiny(trace) else estimated_peak_bytes(Case.from_settings(trace.case)),
        "generations": len({stage.generation for stage in stages} - {None}),
        "generations_excluded": len({stage.generation for stage in stages if stage.excluded}),
        "steps_done": sum(stage.measured and stage.name.endswith("_Inference") for stage in stages),
        "step_change_at": change.get("step"),
        "throttled": _throttled(throttled_pct),
        "failed_checks": " ".join(quality["failed_checks"]),
        "stage_reached": error.get("stage_reached"),
        "gpu_refused": _refused(telemetry),
        "variables": variables_text(environment),
        "torch": packages.get("torch"),
        "packages": " ".join(f"{name}={version}" for name, version in packages.items() if version) or None,
        "frames_sha256": (trace.kept or {}).get("frames_sha256"),
        "case_sha256": trace.digests["case_sha256"],
        "measure_digest": trace.digests["measure"],
    }


def guidance_text(scales: Sequence[float], is_on: bool) -> str:
    """Scales as in force: the pipeline turns guidance off for both experts where the first is 1 or less."""
    return "off" if not is_on else " / ".join(f"{scale:g}" for scale in scales)


def _cut(tokens: int | None) -> int | None:
    return None if tokens is None else max(0, tokens - LONGEST_PROMPT_TOKENS)


def _refused(telemetry: Mapping[str, Any]) -> str | None:
    # Older traces do not say what was refused; those that have the state say all.
    if telemetry.get("state") is None:
        return None
    return "; ".join(f"{what}: {reason}" for what, reason in telemetry.get("refused", {}).items())


def variables_text(environment: Mapping[str, Any]) -> str | None:
    """Variables as NAME=value, or NAME alone; None of a trace that has none of it."""
    if "variables" not in environment:
        return None
    return "; ".join(name if value is None else f"{name}={value}" for name, value in environment["variables"].items())


def _throttled(shares_pct: Mapping[str, float] | None) -> str | None:
    """Reasons that held the clocks down with their share of time; empty for none, None where it was not read."""
    if shares_pct is None:
        return None
    return ", ".join(f"{reason} {share:.1f} %" for reason, share in shares_pct.items() if share > 0)
