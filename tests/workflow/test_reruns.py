"""Only what changed runs again: real Snakemake plans and runs after each kind of change of the default grid."""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, SMALL, DefaultGrid, Project, simulated_work

GRID = yaml.safe_load((ROOT / "config/config.yaml").read_text("utf-8"))
CASES = list(GRID["cases"])
A, B = CASES[:2]
TEXTS = {("report", ""), ("page", ""), ("outcome", "")}
REPORT = TEXTS | {("tabulate", "")}
PACKAGE = "workflow/scripts/wanbench"
EDITED = "\nEDITED = True\n"


def again(*cases: str) -> set[tuple[str, str]]:
    """What runs again for cases that are measured again."""
    return {("measure", case) for case in cases} | REPORT


@pytest.fixture
def project(measured: Project) -> Iterator[Project]:
    """The measured project; its files are put back after the test."""
    kept = {part: measured.folder / part for part in ("config", "workflow", "envs")}
    for part, folder in kept.items():
        shutil.copytree(folder, measured.folder / "kept" / part)
    yield measured
    for part, folder in kept.items():
        shutil.rmtree(folder)
        shutil.move(measured.folder / "kept" / part, folder)


@pytest.fixture
def copied(default_grid: DefaultGrid, tmp_path: Path) -> Project:
    """The measured project, for a test that changes its results."""
    return default_grid.copy(tmp_path / "copy")


def changed(change: Callable[[dict], object]) -> dict:
    grid = copy.deepcopy(GRID)
    change(grid)
    return grid


def edit(project: Project, path: str, edited: Callable[[str], str]) -> None:
    file = project.folder / path
    before = file.read_text("utf-8")
    file.write_text(edited(before), "utf-8")
    assert file.read_text("utf-8") != before


def test_nothing_runs_after_changes_that_change_nothing(copied: Project) -> None:
    """In a copy of the project elsewhere: comments, layout, order of the cases, defaults that are written out."""

    def same(grid: dict) -> None:
        grid["cases"][A].update(seed=42, offload="none", shift=5)
        grid["cases"] = dict(reversed(grid["cases"].items()))

    copied.write_grid(changed(same))
    edit(copied, "config/config.yaml", lambda text: re.sub(r"^(\w)", r"# a comment\n\1", text, flags=re.M) + "\n")
    for path in ("config/thresholds.yaml", "config/prices.yaml", "envs/measure.yaml", "envs/report.yaml"):
        edit(copied, path, lambda text: f"# a comment\n{text}")
    for file in copied.folder.glob("workflow/scripts/**/*.py"):
        file.write_text(f"# a comment\n{file.read_text('utf-8')}", "utf-8")
    run = copied.snakemake("--dry-run")
    assert run.jobs == set()
    assert "Warning" not in run.output


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda grid: grid["cases"].update({A: grid["cases"][A] | {"steps": 7}, "d": SMALL}), again(A, "d")),
        (lambda grid: grid["cases"].update(e=grid["cases"].pop(B)), again("e")),
        (lambda grid: grid["defaults"].update(dtype="bfloat16"), again(*CASES[:-1])),
    ],
)
def test_a_change_of_the_grid(project: Project, change: Callable[[dict], object], expected: set) -> None:
    project.write_grid(changed(change))
    plan = project.snakemake("--dry-run")
    assert plan.jobs == expected
    # The reason to make the tables again is short.
    assert "case_sha256" not in re.search(r"rule tabulate:\n(?:    .*\n)*?    reason: (.*)", plan.output)[1]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({f"{PACKAGE}/measure/wan/generate.py": EDITED}, again(*CASES)),
        ({"envs/measure.yaml": "      - filelock==4.3.1\n"}, again(*CASES)),
        ({"envs/measure.post-deploy.sh": "python -m pip install --no-deps filelock==4.3.1\n"}, again(*CASES)),
        ({f"{PACKAGE}/findings/trust.py": EDITED, f"{PACKAGE}/report/templates/case.md.j2": "More.\n"}, TEXTS),
        # The one judges cases, and tables hold the estimate of the other.
        ({f"{PACKAGE}/trace/verdict.py": EDITED, f"{PACKAGE}/estimate/memory.py": EDITED}, REPORT),
        ({f"{PACKAGE}/plots/timeline.py": EDITED}, {("page", ""), ("outcome", "")}),
    ],
    ids=["measuring", "environment", "after installing it", "texts", "exempt from measuring", "pictures"],
)
def test_an_edit_runs_what_depends_on_it(project: Project, edits: dict[str, str], expected: set) -> None:
    for path, more in edits.items():
        edit(project, path, lambda text, more=more: text + more)
    assert project.plan() == expected


def test_a_threshold_or_a_price_measures_nothing(project: Project) -> None:
    edit(project, "config/prices.yaml", lambda text: text.replace("# gpu_hour", "gpu_hour"))
    edit(project, "config/thresholds.yaml", lambda text: text.replace("busy_machine_pct: 10", "busy_machine_pct: 20"))
    assert project.plan() == TEXTS
    # A limit of the check of a case.
    edit(project, "config/thresholds.yaml", lambda text: text.replace("slowed_down_pct: 1", "slowed_down_pct: 2"))
    assert project.plan() == REPORT


def test_a_changed_case_is_measured_and_the_others_are_not_touched(copied: Project) -> None:
    traces = copied.folder / "results/traces"
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in traces.iterdir()}
    copied.write_grid(changed(lambda grid: grid["cases"][A].update(steps=6)))
    run = copied.snakemake("results/report.md", environment=simulated_work())
    assert run.code == 0, run.output
    assert run.jobs == {("measure", A), ("tabulate", ""), ("report", "")}
    after = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in traces.iterdir()}
    assert [name for name in before if before[name] != after[name]] == [f"{A}.json"]
    assert "Step_5_Inference" in copied.read("results/report.md")
    (traces / f"{B}.json").unlink()
    assert copied.plan() == again(B)


def test_a_stale_trace_and_one_of_no_case_end_the_run_named_and_not_used(copied: Project) -> None:
    """After a lost `.snakemake` folder, Snakemake takes any trace for the right one."""
    shutil.rmtree(copied.folder / ".snakemake")
    copied.write_grid(changed(lambda grid: (grid["cases"][A].update(steps=6), grid["cases"].pop(B))))
    run = copied.snakemake("--forcerun", "tabulate")
    assert run.code == 1
    assert run.output.count("Warning: results/traces has traces, and .snakemake has no record of them") == 1
    assert run.jobs == REPORT
    assert f"{A}: excluded: results/traces/{A}.json: digests.case_sha256: measured with other settings" in run.output
    # The report was written all the same.
    report = copied.read("results/report.md").replace("\\", "")
    assert "## Excluded, and why" in report
    assert f"{B}.json: the grid has no such case" in report
    assert not {A, B} & set(re.findall("^## Case: (.*)$", report, re.M))
    assert f"## Case: {CASES[2]}\n" in report
    # Snakemake shows it as it is said, and again with the log.
    (line,) = set(re.findall("^config/config.yaml has no cases for these traces, .*", run.output, re.M))
    command = line.split("not measured again): ")[1]
    assert command == f"mkdir -p results/aside/traces && mv -n results/traces/{B}.json results/aside/traces"
    subprocess.run(command, shell=True, cwd=copied.folder, check=True)
    after = copied.snakemake("--dry-run")
    # The videos of the other cases were compared before.
    assert after.jobs == REPORT
    assert "no cases for these traces" not in after.output
    # Back in the grid, the kept trace is still that of its case.
    copied.write_grid(GRID)
    shutil.move(copied.folder / f"results/aside/traces/{B}.json", copied.folder / "results/traces")
    assert copied.plan() == REPORT
