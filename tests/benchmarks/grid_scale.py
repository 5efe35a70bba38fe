"""What does it cost to plan a large grid? Time, processor time and memory of dry runs of CASES cases (10,000).

    .venv/bin/python tests/benchmarks/grid_scale.py [CASES]

That it grows with the cases and not with their square, tests/workflow/test_plan_command.py shows.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

_GRID = """
defaults: {{scale: tiny, unofficial_size: true}}
grid:
  name: "case_{{seed}}"
  axes: {{seed: {seeds}}}
  set: {{model: TI2V-5B, size: 64*64, frames: 5, steps: 3}}
"""


def main(cases: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        for part in ("config", "envs", "profiles", "workflow"):
            shutil.copytree(ROOT / part, project / part)
        shutil.copy(ROOT / "Snakefile", project)
        (project / "config/config.yaml").write_text(_GRID.format(seeds=list(range(cases))))
        costs = [_dry_run(project) for _ in range(3)]
    print(f"three dry runs of {cases} cases, 1-minute load at the end {os.getloadavg()[0]:.1f}; medians:")
    for what, values in zip(("s", "s of processor time", "MB of memory at most"), zip(*costs)):
        print(f"  {statistics.median(values):.2f} {what}")


def _dry_run(project: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds, and the highest resident memory in 1e6 bytes."""
    start_s = time.monotonic()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--quiet"]
    process = subprocess.Popen(command, cwd=project)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.monotonic() - start_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:]])
