"""How long do many traces take to become tables and a Markdown report, and how much memory?

    .venv/bin/python tests/benchmarks/report_scale.py [1000 2000 ...]

The traces are copies of a kept H200 case with its number of steps set to 50, each under a name and with settings of its
own, so that every one has its own row. They are read as kept traces are, by a run of Snakemake on two cores in a copy
of the project; then as many are compared with as many. Memory is the highest sum of the memory of all
processes, Snakemake's too, with shared pages counted once (PSS), seen every 0.1 s.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd
import psutil

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow/scripts")]

from wanbench.cases.yaml_file import read_yaml
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_trace

TRACE = ROOT / "results/reference/h200/traces/5B_704p_compiled.json.gz"
REFERENCE = Path("results/reference/scale")
_COMPARE = """
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
from wanbench.report.comparison_markdown import render
from wanbench.compare.runs import compared_runs
from wanbench.trace.verdict import Limits
files = sorted(Path({folder!r}, "traces").glob("*.json.gz"))
comparison = compared_runs("itself", files, files, {{}}, Limits(**{limits}), 10.0, processes=2)
assert len(comparison.cases) == len(files) and not comparison.excluded
render(comparison)
"""


@dataclass(frozen=True)
class Cost:
    """Seconds, and the highest memory of a process and all that it started, in bytes."""

    wall_s: float
    peak_bytes: int


def main(counts: list[int]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder)
            for part in ("config", "envs", "profiles", "workflow"):
                shutil.copytree(ROOT / part, project / part)
            shutil.copy(ROOT / "Snakefile", project)
            size_bytes = _make(project / REFERENCE / "traces", count)
            targets = [str(REFERENCE / "report.md")]
            report = _cost(
                [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all", "--", *targets], project
            )
            assert len(pd.read_parquet(project / REFERENCE / "tables/cases.parquet")) == count
            lines = (project / REFERENCE / "report.md").read_text("utf-8").count("\n")
            compared = _cost([sys.executable, "-c", _compare(project / REFERENCE)], project)
        print(
            f"{count} traces, {size_bytes / 1e9:.2f} GB: tables and {lines} lines of Markdown {_shown(report)}; "
            f"as many compared with as many {_shown(compared)}"
        )


def _make(folder: Path, count: int) -> int:
    """Traces of one generation of 50 steps; returns their size in bytes, unpacked."""
    folder.mkdir(parents=True)
    trace = json.loads(gzip.decompress(TRACE.read_bytes()))
    del trace["sha256"]
    events = trace["traceEvents"]
    second_ts = min(e["ts"] for e in events if e.get("cat") == "stage" and e["args"]["generation"] == 1)
    trace["traceEvents"] = [e for e in events if e.get("ts", 0) < second_ts]
    trace["case"]["repeats"] = 1
    size_bytes = 0
    for number in range(count):
        name = f"case_{number:05d}"
        offload = {"offload": ("none", "model", "group", "sequential")[number % 4]}
        trace["case"] |= {"name": name, "seed": number} | offload
        trace["applied"] |= offload
        file = folder / f"{name}.json"
        write_trace(file, trace)
        size_bytes += file.stat().st_size
        (folder / f"{name}.json.gz").write_bytes(gzip.compress(file.read_bytes(), 1))
        file.unlink()
    return size_bytes


def _compare(folder: Path) -> str:
    thresholds = read_yaml(ROOT / "config/thresholds.yaml")
    limits = {field.name: thresholds[field.name] for field in fields(Limits)}
    return _COMPARE.format(scripts=str(ROOT / "workflow/scripts"), folder=str(folder), limits=limits)


def _cost(command: Sequence[str], project: Path) -> Cost:
    start_s, peak_bytes = time.monotonic(), 0
    process = psutil.Popen(command, cwd=project, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    while True:
        try:
            process.wait(0.1)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            peak_bytes = max(peak_bytes, _memory_bytes(process))
            continue
        break
    assert process.returncode == 0
    return Cost(time.monotonic() - start_s, peak_bytes)


def _memory_bytes(root: psutil.Process) -> int:
    total_bytes = 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            total_bytes += process.memory_full_info().pss
    return total_bytes


def _shown(cost: Cost) -> str:
    return f"{cost.wall_s:.1f} s, {cost.peak_bytes / 1e6:.0f} MB at most"


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1000])
