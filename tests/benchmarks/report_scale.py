"""How long do many traces take to become tables and a Markdown report, and how much memory?

    .venv/bin/python tests/benchmarks/report_scale.py [1000 2000 ...]

The traces are copies of a kept H200 case with its number of steps set to 50, each under a name and with a seed of its
own, so that every one has its own row. Two processes read them. The two entry points of the rules run in a process
each, as in Snakemake.
"""

import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "workflow/scripts")]

import pandas as pd

from wanbench.cases.yaml_file import read_yaml
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_trace

THRESHOLDS = read_yaml(ROOT / "config/thresholds.yaml")
LIMITS = {field.name: THRESHOLDS[field.name] for field in fields(Limits)}
TRACE = ROOT / "results/reference/h200/traces/5B_704p_compiled.json.gz"
_RUN = """
import sys, types
from pathlib import Path
sys.path.insert(0, {scripts!r})
log = {folder!r} + "/log"
tables = ("cases", "stages", "details", "left_out")
files = sorted(str(file) for file in Path({folder!r}, "traces").glob("*.json"))
csv = [{folder!r} + f"/{{table}}.csv" for table in tables]
parquet = [{folder!r} + f"/{{table}}.parquet" for table in tables]
class Input(dict):
    __getattr__ = dict.__getitem__
class Output(list):
    csv, parquet = csv, parquet
snakemake = types.SimpleNamespace(
    input=Input(traces=files, **dict(zip(tables, parquet))),
    output=Output([{folder!r} + "/report.md"]),
    params=types.SimpleNamespace(**{params}),
    log=[log],
    config={{"software_deployment": "none", "snakemake_pid": {pid}}},
    threads=2,
)
exec(compile(Path({script!r}).read_text(), {script!r}, "exec"))
"""

_COMPARE = """
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
from wanbench.report.compare.markdown import render
from wanbench.report.compare.runs import compared_runs
from wanbench.trace.verdict import Limits
files = sorted(Path({folder!r}, "traces").glob("*.json"))
comparison = compared_runs("itself", files, files, {{}}, Limits(**{limits}), processes=2)
assert len(comparison.cases) == len(files) and not comparison.left_out
render(comparison)
"""


def main(counts: list[int]) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            size_bytes = _make(Path(folder) / "traces", count)
            times_s = [_timed_rule(folder, script) for script in ("tabulate_traces.py", "write_report.py")]
            compare_s = _timed(_COMPARE.format(scripts=str(ROOT / "workflow/scripts"), folder=folder, limits=LIMITS))
            lines = Path(folder, "report.md").read_text("utf-8").count("\n")
            assert len(pd.read_parquet(Path(folder, "cases.parquet"))) == count
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        print(
            f"{count} traces, {size_bytes / 1e9:.2f} GB: tables {times_s[0]:.1f} s, Markdown {times_s[1]:.1f} s, "
            f"{sum(times_s):.1f} s in all, {lines} lines; as many compared with as many: {compare_s:.1f} s; "
            f"at most {peak_mb:.0f} MB a process so far"
        )


def _make(folder: Path, count: int) -> int:
    """Traces of one generation of 50 steps; returns their size in bytes."""
    folder.mkdir()
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
        write_trace(folder / f"{name}.json", trace)
        size_bytes += (folder / f"{name}.json").stat().st_size
    return size_bytes


def _timed_rule(folder: str, script: str) -> float:
    scripts = ROOT / "workflow/scripts"
    params = {"expected": None, "others": [], "limits": LIMITS, "thresholds": THRESHOLDS}
    code = _RUN.format(
        scripts=str(scripts), folder=folder, script=str(scripts / script), params=params, pid=os.getpid()
    )
    return _timed(code)


def _timed(code: str) -> float:
    """Seconds of a Python process of its own."""
    start_s = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - start_s


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1000])
