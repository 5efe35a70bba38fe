"""How long does Snakemake take to plan a large grid, beside bare Snakemake with as many trivial jobs?

    .venv/bin/python tests/benchmarks/grid_scale.py [CASES]

A dry run of CASES cases (10,000), and of a Snakefile with rules of the same names, as many jobs and the same inputs,
but one output a job and no parameters, logs, resources, environments or package; in turn, three times each. With the
Slurm plugin on the PYTHONPATH ($PWD/.venv/slurm), also with the profile for Slurm, which asks for resources.
"""

import importlib.util
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_GRID = """
defaults: {{scale: tiny, unofficial_size: true}}
grid:
  name: "case_{{seed}}"
  axes: {{seed: {seeds}}}
  set: {{model: TI2V-5B, size: 64*64, frames: 5, steps: 3}}
"""
_BARE = """
TRACES = expand("results/traces/{{n}}.json", n=range({count}))
rule all:
    input: TRACES, "results/report.md", "results/report.html", "results/outcome.json"
rule measure:
    output: "results/traces/{{n}}.json"
    script: "trivial.py"
rule tabulate:
    input: TRACES
    output: "results/tables"
    script: "trivial.py"
rule report:
    input: "results/tables"
    output: "results/report.md"
    script: "trivial.py"
rule page:
    input:
        "results/tables",
        TRACES,
    output: "results/report.html"
    script: "trivial.py"
rule outcome:
    input: "results/tables", "results/report.md", "results/report.html"
    output: "results/outcome.json"
    script: "trivial.py"
"""


@dataclass(frozen=True)
class Cost:
    """What one Snakemake process took: seconds, CPU seconds, and its highest resident memory in 1e6 bytes."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str


def main(cases: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = _projects(Path(folder), cases)
        kinds = {"bare": (bare,), "ours": (ours,)}
        if importlib.util.find_spec("snakemake_executor_plugin_slurm"):
            kinds["ours for Slurm"] = (ours, "--workflow-profile", "profiles/slurm")
        rounds = [{name: _snakemake(*kind, "--dry-run") for name, kind in kinds.items()} for _ in range(3)]
        jobs = {re.search(r"^total +(\d+)$", cost.output, re.M)[1] for costs in rounds for cost in costs.values()}
        assert len(jobs) == 1, f"not as many jobs: {jobs}"
        print(f"dry run of {cases} cases, {jobs.pop()} jobs, 1-minute load at the end {os.getloadavg()[0]:.1f}")
        for name in kinds:
            for what in ("wall_s", "cpu_s", "peak_mb"):
                values, of_bare = ([getattr(costs[kind], what) for costs in rounds] for kind in (name, "bare"))
                ratios = ", ".join(f"{value / bare:.2f}" for value, bare in zip(values, of_bare))
                print(f"  {name}, {what}: median {statistics.median(values):.2f}; {ratios} of bare Snakemake")


def _projects(folder: Path, cases: int) -> tuple[Path, Path]:
    ours, bare = folder / "ours", folder / "bare"
    for part in ("config", "envs", "profiles", "workflow"):
        shutil.copytree(ROOT / part, ours / part)
    shutil.copy(ROOT / "Snakefile", ours)
    (ours / "config/config.yaml").write_text(_GRID.format(seeds=list(range(cases))))
    bare.mkdir()
    (bare / "Snakefile").write_text(_BARE.format(count=cases))
    (bare / "trivial.py").touch()
    return ours, bare


def _snakemake(project: Path, *arguments: str) -> Cost:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    with tempfile.TemporaryFile("w+") as output:
        start_s = time.monotonic()
        process = subprocess.Popen(command, cwd=project, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - start_s
        output.seek(0)
        text = output.read()
    assert status == 0, text[-2000:]
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, text)


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:]])
