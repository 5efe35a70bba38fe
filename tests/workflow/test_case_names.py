"""Cases that are called like commands, rules and folders of the project; tried with real runs too, all in one grid."""

from collections.abc import Callable

from conftest import SMALL, SMALL_DEFAULTS, Project

NAMES = [
    "compare",
    "traces",
    "tables",
    "report",
    "plots",
    "kernels",
    "frames",
    "tune",
    "predict",
    "plan",
    "cases",
    "page",
    "outcome",
    "all",
]


def test_a_case_may_be_called_as_the_project_calls_its_own_things(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": dict.fromkeys(NAMES, SMALL)})
    run = project.snakemake("--dry-run", "all", "kernels")
    assert run.code == 0, run.output
    wildcards = [line.split("wildcards: case=")[1] for line in run.output.splitlines() if "wildcards: case=" in line]
    # Once for its trace, once for its profile.
    assert sorted(wildcards) == sorted(2 * NAMES)
