"""Cases as a comparison has them, and what it says of them."""

from dataclasses import replace
from typing import Any

from wanbench.compare.change_verdict import ComparedCase, Comparison
from wanbench.compare.measured_cases import Figure, MeasuredCase, measured_case
from wanbench.report.comparison_markdown import render
from wanbench.trace.reader import Trace


def case(name: str = "a", *, step_s: float = 1.0, **changes: Any) -> MeasuredCase:
    settings = {"model": "TI2V-5B", "task": "t2v", "size": "64*64", "frames": 5, "offload": "none", "weights": "random"}
    hardware = {"GPU": "G", "power limit (W)": 700.0, "CPU": "C"}
    figures = {"step_s": Figure(step_s, 0.001), "gpu_mem_bytes": Figure(2e9)}
    whole = MeasuredCase(name, "ok", None, settings, hardware, {"torch": "2.11.0"}, figures, {"T5_Encoding": Figure(1)})
    return replace(whole, **changes)


def with_settings(name: str, **settings: Any) -> MeasuredCase:
    basis = case(name)
    return replace(basis, settings=basis.settings | settings)


def measured_earlier(trace: Trace) -> MeasuredCase:
    """The same figures as of another run."""
    return replace(measured_case(trace), started_at="2026-01-01T10:00:00+00:00")


def verdict(result: ComparedCase, name: str) -> str:
    return next(row.verdict for row in result.rows if row.name == name)


def overview(comparison: Comparison) -> str:
    """What the overview says of the one case."""
    row = next(line for line in render(comparison).splitlines() if line.startswith(("| a ", "| full ")))
    return row.strip("|").split("|")[-1].strip()
