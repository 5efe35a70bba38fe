"""Traces as the report wing reads them, the report of them, and the tables in a report."""

import json
import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from conftest import ROOT
from example_cases import full_case
from traces import GPU, LIMITS, OK, read_once, records, trace_of, write
from wanbench.analysis.collect import Excluded, judged
from wanbench.analysis.kernels import kernels_table
from wanbench.analysis.settings_table import Prices, settings_table
from wanbench.analysis.tables import TraceTables, excluded_table, records_by_case, tables_of
from wanbench.cases.case import Case
from wanbench.cases.yaml_file import read_yaml
from wanbench.findings.rules import findings_table
from wanbench.measure.outcome import Outcome
from wanbench.report.render import rendered
from wanbench.report.view import view_of
from wanbench.trace.reader import Trace, read_trace

NO_PRICES = Prices()
THRESHOLDS = SimpleNamespace(**read_yaml(ROOT / "config/thresholds.yaml"))


def _once(make: Callable[..., Any]) -> Callable[..., Any]:
    """Make something of traces once, however often a test asks."""
    found: dict[Any, Any] = {}

    @wraps(make)
    def of_traces(*traces: Trace, **options: Any) -> Any:
        key = (*map(id, traces), *((name, id(value)) for name, value in options.items()))
        if key not in found:
            # With what it is of: as long as that lives, nothing else has its identity.
            found[key] = traces, options, make(*traces, **options)
        return found[key][2]

    return of_traces


@cache
def kept(name: str, machine: str = "h200") -> Trace:
    """One that is kept of a machine."""
    return judged(read_once(ROOT / f"results/reference/{machine}/traces/{name}.json.gz"), LIMITS)


@cache
def recorded(name: str) -> Trace:
    """One that was recorded on an H200, of settings that are not in the reference or with an older code."""
    return judged(read_once(ROOT / f"tests/data/h200/traces/{name}.json.gz"), LIMITS)


@cache
def kept_traces() -> list[Trace]:
    """Those that are kept of an H200."""
    files = sorted((ROOT / "results/reference/h200/traces").iterdir())
    return [kept(file.name.removesuffix(".json.gz")) for file in files]


def read_back(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Trace:
    """The trace of a run, written, read and judged."""
    return judged(read_trace(write(folder, trace_of(rows, **options))), LIMITS)


def case_trace(folder: Path, case: Case, step_s: float = 2.0, gpu: dict[str, Any] = GPU, **options: Any) -> Trace:
    """The trace of a case on a GPU, whose steps take equally long; `options` are what `made` takes."""
    return made(folder, case, [step_s] * case.steps, environment=gpu, **options)


def with_measures(rows: list[dict[str, Any]], stage: str, measures: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The trace of a run with more measures in the stages whose names match a pattern."""
    return _measured(trace_of(rows, **options), {stage: measures})


def _measured(trace: dict[str, Any], measures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    for event in (event for event in trace["traceEvents"] if event.get("cat") == "stage"):
        for pattern, values in measures.items():
            if re.fullmatch(pattern, event["name"]):
                event["args"] |= values
    return trace


def made(
    folder: Path,
    case: Case,
    steps_s: list[float] | None = None,
    measures: dict[str, dict[str, Any]] | None = None,
    alter: Callable[[dict[str, Any]], None] | None = None,
    until: str | None = None,
    outcome: Outcome = OK,
    **run: Any,
) -> Trace:
    """The trace of a case on a GPU: with measures by a pattern of stage names, changed by hand, or cut short."""
    count = case.warmup + case.repeats
    environment = run.pop("environment", GPU)
    times_s = steps_s or [2.0] * case.steps
    rows = records(times_s, generations=count, warmup=case.warmup, environment=environment, case=case, **run)
    if until is not None:
        rows = rows[: next(i for i, row in enumerate(rows) if row.get("name") == until) + 1]
    trace = _measured(trace_of(rows, case=case, outcome=outcome), measures or {})
    if alter is not None:
        alter(trace)
    return judged(read_trace(write(folder, trace)), LIMITS)


@_once
def made_tables(*traces: Trace) -> TraceTables:
    return tables_of(traces)


def figures_of(trace: Trace) -> SimpleNamespace:
    """The row of the cases table, None for what was not measured."""
    ((row,),) = records_by_case(made_tables(trace).cases).values()
    return SimpleNamespace(**row)


def steady_case(
    folder: Path, name: str, step_s: float = 2.0, peak_gb: float = 40, steps: int = 4, **options: Any
) -> Trace:
    """The trace of a case whose steps take equally long, with a peak of memory; `options` are what `made` takes."""
    settings = options.pop("settings", {})
    case = full_case(name, steps=steps, **settings)
    return made(folder, case, [step_s] * steps, peak_bytes=round(peak_gb * 1e9), **options)


def table_rows(trace: Trace) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Its row of the cases table and those of the stages table, None for what was not measured."""
    tables = (records_by_case(table) for table in (made_tables(trace).cases, made_tables(trace).stages))
    (case,), stages = (table.get(trace.case["name"], []) for table in tables)
    return case, stages


@_once
def report(*traces: Trace, prices: Prices = NO_PRICES) -> str:
    return rendered("report.md.j2", view=view(*traces, prices=prices))


def view(*traces: Trace, excluded: Sequence[Excluded] = (), prices: Prices = NO_PRICES) -> dict[str, Any]:
    """What a report of these traces says."""
    made = made_tables(*traces)
    tables = {"cases": made.cases, "stages": made.stages, "excluded": excluded_table(excluded)}
    tables |= {"settings": settings_of(*traces, prices=prices), "findings": table_of_findings(*traces)}
    return view_of(tables | {"kernels": kernels_table([])}, THRESHOLDS, prices)


@_once
def settings_of(*traces: Trace, prices: Prices = NO_PRICES) -> pd.DataFrame:
    """The settings table of a report with these traces."""
    alike = THRESHOLDS.alike_generation_pct, THRESHOLDS.no_effect_memory_pct
    return settings_table(made_tables(*traces).cases, prices, *alike)


def told(*traces: Trace) -> str:
    """A report without its end, which explains what it might have told."""
    return report(*traces).partition("# Appendix")[0]


@_once
def table_of_findings(*traces: Trace, thresholds: SimpleNamespace = THRESHOLDS) -> pd.DataFrame:
    made = made_tables(*traces)
    return findings_table(made.cases, made.stages, thresholds, kernels_table([]))


def found_in(table: pd.DataFrame) -> dict[str, list[SimpleNamespace]]:
    """The rows of a table of findings by case, with what its JSON says, and all sentences in `sentences`."""
    return {case: [_finding(row) for row in rows] for case, rows in records_by_case(table).items()}


def _finding(row: dict[str, str]) -> SimpleNamespace:
    parsed = {"evidence": json.loads(row["evidence"]), "advised": tuple(map(tuple, json.loads(row["advised"])))}
    return SimpleNamespace(**row | parsed, sentences=f"{row['text']} {row['advice']}".strip())


def findings(*traces: Trace, thresholds: SimpleNamespace = THRESHOLDS) -> dict[str, list[SimpleNamespace]]:
    """Findings of each case of a report with these traces."""
    found = found_in(table_of_findings(*traces, thresholds=thresholds))
    return {trace.case["name"]: found.get(trace.case["name"], []) for trace in traces}


def rules(trace: Trace, *others: Trace) -> dict[str, SimpleNamespace]:
    """Findings of a case by rule, the last of each; `others` are cases of the same report."""
    return rules_by_case(trace, *others)[trace.case["name"]]


def rules_by_case(*traces: Trace) -> dict[str, dict[str, SimpleNamespace]]:
    return {case: {finding.rule: finding for finding in found} for case, found in findings(*traces).items()}


def found_in_each(folder: Path, *runs: dict[str, Any], steps: int = 4) -> list[dict[str, Any]]:
    """Findings by rule of the cases of one report; a run is what `made` takes, and `settings` of its case."""
    traces = []
    for i, run in enumerate(runs):
        options = dict(run)
        settings = {"steps": len(options.get("steps_s", [])) or steps} | options.pop("settings", {})
        traces.append(made(folder, full_case(f"{i}", **settings), **options))
    found = rules_by_case(*traces)
    return [found[trace.case["name"]] for trace in traces]


def fired(rule: str, *traces: Trace) -> set[str]:
    """The cases of a report in which a rule finds something."""
    return {case for case, found in rules_by_case(*traces).items() if rule in found}


def tables(markdown: str, first_column: str) -> list[list[dict[str, str]]]:
    """All tables that begin with a column, as rows."""
    found = []
    for lines in re.findall(rf"^(\| {re.escape(first_column)} .*(?:\n\|.*)*)", markdown, re.M):
        header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines())
        found.append([dict(zip(header, row)) for row in rows])
    return found
