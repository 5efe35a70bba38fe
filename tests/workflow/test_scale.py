"""Work for a plan grows with the cases and not with their square, which at 10,000 of them would take hours."""

import pstats
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from conftest import SMALL, SMALL_DEFAULTS, Project

# Imports of Snakemake, which would take most of the time, are left out.
_PROFILED = """if True:
    import cProfile, sys, snakemake.cli, snakemake.persistence
    sys.path[0] = ""
    profile = cProfile.Profile()
    try:
        profile.runcall(snakemake.cli.main)
    finally:
        profile.dump_stats("profile")
    """


def test_a_plan_grows_with_the_cases(new_project: Callable[[], Project]) -> None:
    project = new_project()
    calls = [calls_of_ours(project, cases) for cases in (20, 40, 60)]
    first, second = calls[1] - calls[0], calls[2] - calls[1]
    assert first > 20 * 10
    assert second <= 1.02 * first, calls


def calls_of_ours(project: Project, cases: int) -> int:
    """Function calls that the project's own code makes in a dry run. Unlike times, they are the same every time."""
    seeds = {"name": "{seed}", "axes": {"seed": list(range(cases))}, "set": SMALL}
    project.write_grid({"defaults": SMALL_DEFAULTS, "grid": seeds})
    for number in range(cases):
        _write(project.folder / f"results/traces/of_another_grid_{number}.json", "{}")
        _write(
            project.folder / f"results/failures/{number}.json",
            '{"failed_attempts": 1, "status": "error", "message": null, "run_id": "earlier"}',
        )
    command = [sys.executable, "-c", _PROFILED, "--cores", "1", "--dry-run"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"measure {cases}" in " ".join(done.stdout.split())
    callers = [by for *_, by in pstats.Stats(str(project.folder / "profile")).stats.values()]
    folder = str(project.folder)
    return sum(calls for by in callers for (file, _, _), (calls, *_) in by.items() if file.startswith(folder))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
