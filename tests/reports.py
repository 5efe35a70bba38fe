"""Traces as the report wing reads them, the report of them, and the tables in a report."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiny import tiny_case
from traces import GPU, records, trace_of, write
from wanbench.cases.case import Case
from wanbench.models import MODELS
from wanbench.report.breakdown import breakdown
from wanbench.report.content import content_of
from wanbench.report.findings import findings_of
from wanbench.report.markdown import to_markdown
from wanbench.report.tables import cases_table, details_table, left_out_table, records_by_case, stages_table
from wanbench.trace.reader import Trace, read_trace


def read_back(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Trace:
    """The trace of a run, written and read."""
    return read_trace(write(folder, trace_of(rows, **options)))


def full_case(name: str = "full", model: str = "TI2V-5B", **settings: Any) -> Case:
    """A case of the real model, with its official settings but for those given."""
    facts = MODELS[model]
    official = {"dtype": "bfloat16", "size": facts.sizes[0], "frames": facts.frames, "steps": facts.steps}
    if settings.get("weights") != "pretrained":
        official["scale"] = "full"
    return replace(tiny_case(model, **official | settings), name=name)


def case_trace(folder: Path, case: Case, step_s: float = 2.0, gpu: dict[str, Any] = GPU, **run: Any) -> Trace:
    """The trace of a case on a GPU, whose steps take equally long; `run` is what `traces.records` takes."""
    count = case.warmup + case.repeats
    rows = records([step_s] * case.steps, generations=count, warmup=case.warmup, environment=gpu, case=case, **run)
    return read_back(folder, rows, case=case)


def with_measures(rows: list[dict[str, Any]], stage: str, measures: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The trace of a run with more measures in the stages whose names match a pattern."""
    trace = trace_of(rows, **options)
    for event in trace["traceEvents"]:
        if event.get("cat") == "stage" and re.fullmatch(stage, event["name"]):
            event["args"] |= measures
    return trace


def report(*traces: Trace) -> str:
    return to_markdown(content_of(cases_table(traces), stages_table(traces), details_table(traces), left_out_table([])))


def rules(trace: Trace) -> dict[str, Any]:
    found = findings_of(cases_table([trace]).iloc[0], breakdown(records_by_case(stages_table([trace]))["tiny"]))
    return {finding.rule: finding for finding in found}


def tables(markdown: str, first_column: str) -> list[list[dict[str, str]]]:
    """All tables that begin with a column, as rows."""
    found, lines = [], markdown.splitlines()
    for i, line in enumerate(lines):
        if line.startswith(f"| {first_column} "):
            header = [cell.strip() for cell in line.strip("|").split("|")]
            rows = []
            for row in lines[i + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append(dict(zip(header, (cell.strip() for cell in row.strip("|").split("|")))))
            found.append(rows)
    return found
