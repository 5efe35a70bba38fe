"""Cases side by side on simulated GPUs, in real Snakemake runs: never two on one."""

import os
from collections.abc import Callable
from pathlib import Path

from conftest import SMALL, SMALL_DEFAULTS, Project, Run, simulated_gpus
from fake_nvml import H200, SECOND
from wanbench.trace.reader import read_counters, read_trace

# In the place of a measured process's own work: it takes a lock of its GPU, waits for a condition, and fails. The
# kernel frees the lock when the process ends, however that is, so what two processes had at once is seen without fail.
_STAND_IN = """
import fcntl, os, sys, time
from pathlib import Path

# The module, the process ID of the supervisor, and what else it is told.
NOTES, TOLD = Path(__file__).parent, sys.orig_argv[5:]
began = lambda: list(NOTES.glob("ran.*"))
if TOLD[:1] == ["wanbench.telemetry.sampler"]:
    (NOTES / f"sampled.{Path(TOLD[2]).parent.name}").write_text(",".join(TOLD[5:]))
if TOLD[:1] == ["wanbench.measure.measured_process"]:
    case, gpu = Path(TOLD[-1]).parent.name, os.environ["CUDA_VISIBLE_DEVICES"]
    lock = open(NOTES / f"lock.{gpu}", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        (NOTES / f"overlaps.{case}").write_text(gpu)
    (NOTES / f"{'ran' if TOLD[2] == '0' else 'beside'}.{case}").write_text(gpu)
    deadline_s = time.monotonic() + 300
    while time.monotonic() < deadline_s and not ((NOTES / f"sampled.{case}").exists() and (CONDITION)):
        time.sleep(0.02)
    (NOTES / f"ended.{case}").touch()
    os._exit(1)
"""


def run_stand_ins(
    project: Project,
    notes: Path,
    cases: tuple[str, ...],
    condition: str,
    *arguments: str,
    settings: dict = SMALL,
    **variables: str,
) -> Run:
    """A run in which measured processes end on a condition, as errors, with notes of the GPUs they and samplers had."""
    notes.mkdir()
    (notes / "sitecustomize.py").write_text(_STAND_IN.replace("CONDITION", condition))
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": dict.fromkeys(cases, settings)})
    environment = simulated_gpus(H200, SECOND) | variables
    environment["PYTHONPATH"] += f"{os.pathsep}{notes}"
    run = project.snakemake(*arguments, environment=environment)
    assert run.code == 1
    assert "100%" in run.output, run.output
    assert not list(notes.glob("overlaps.*"))
    ran = noted(notes, "ran")
    assert set(ran) == set(cases)
    assert noted(notes, "sampled") == ran
    return run


def noted(notes: Path, what: str) -> dict[str, str]:
    return {file.suffix[1:]: file.read_text() for file in notes.glob(f"{what}.*")}


def traces(*cases: str) -> list[str]:
    return [f"results/traces/{case}.json" for case in cases]


def test_cases_are_spread_over_the_gpus(new_project: Callable[[], Project], tmp_path: Path) -> None:
    project, notes = new_project(), tmp_path / "notes"
    others = traces("a", "c", "d")
    # The first case ends when another has begun, and the long one when all others have ended.
    condition = f"all(Path(t).exists() for t in {others}) if case == 'long' else case != 'a' or len(began()) > 1"
    arguments = ("--cores", "4", "--resources", "gpu=2", "--prioritize", "results/traces/a.json")
    run = run_stand_ins(project, notes, ("a", "long", "c", "d"), condition, *traces("a", "long", "c", "d"), *arguments)
    assert set(noted(notes, "ran").values()) == {H200, SECOND}
    assert "waits: " not in run.output
    for case in "acd":
        assert run.output.index(f"[{case}] error") < run.output.index("[long] error")


def test_whatever_cores_and_resources_say_one_gpu_has_one_case_at_a_time_and_the_others_say_that_they_wait(
    new_project: Callable[[], Project], tmp_path: Path
) -> None:
    project, notes, cases = new_project(), tmp_path / "notes", ("a", "b", "c")
    # The first one ends when both others have said that they wait.
    said = "sum('waits: ' in log.read_text() for log in Path('logs/measure').glob('*.log'))"
    condition = f"len(began()) > 1 or {said} == 2"
    arguments = ("--cores", "8", "--resources", "gpu=8")
    run = run_stand_ins(project, notes, cases, condition, *traces(*cases), *arguments, CUDA_VISIBLE_DEVICES="1")
    assert noted(notes, "ran") == dict.fromkeys(cases, SECOND)
    first, *waited = sorted(cases, key=lambda case: (notes / f"ended.{case}").stat().st_mtime_ns)
    assert f"[{first}] waits: " not in run.output
    for case, trace in zip(waited, traces(*waited)):
        line = f"[{case}] waits: other cases have the GPUs that it may use\n"
        assert run.output.count(line) == project.read(f"logs/measure/{case}.log").count(line) == 1
        # Its time begins after its wait, which the end of the first one ended.
        written_s = (project.folder / trace).stat().st_mtime
        since_first_s = written_s - (notes / f"ended.{first}").stat().st_mtime
        assert read_trace(project.folder / trace).total_duration_s < since_first_s


def test_a_folder_of_locks_that_others_could_write_is_an_error_of_the_case_in_one_line(
    new_project: Callable[[], Project], tmp_path: Path
) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SMALL}})
    folder = tmp_path / "tmp" / f"wanbench-{os.geteuid()}"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    run = project.snakemake(*traces("a"), environment={"TMPDIR": str(folder.parent)})
    assert run.code == 1
    assert f"[a] error: {folder}: belongs to user {os.geteuid()} with mode 777, so others could" in run.output
    assert "Traceback" not in run.output
    assert "belongs to user" in project.read("logs/measure/a.log")
    assert read_trace(project.folder / "results/traces/a.json").status == "error"


def test_a_case_on_two_gpus_has_both_and_is_sampled_on_both(new_project: Callable[[], Project], tmp_path: Path) -> None:
    """That it makes the video of one GPU, tests/unit/test_ranks.py shows."""
    project, (trace,), notes = new_project(), traces("two"), tmp_path / "notes"
    samples = "Path('results/attempts/two/samples.jsonl')"
    condition = f"{samples}.exists() and {samples}.read_text().count('power_w') > 2"
    # The default profile has one `gpu` for all cases together, and the case takes two.
    run_stand_ins(project, notes, ("two",), condition, trace, settings=SMALL | {"gpus": 2})
    assert noted(notes, "ran") == {"two": f"{H200},{SECOND}"}
    assert noted(notes, "beside") == {"two": f"{SECOND},{H200}"}
    assert read_counters(project.folder / trace)["GPU power (W)"]["power"].values[0] == 2 * 685.61
