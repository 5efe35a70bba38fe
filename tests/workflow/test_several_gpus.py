"""Cases side by side on simulated GPUs, in real Snakemake runs: never two on one."""

from collections.abc import Callable
from pathlib import Path

from conftest import SMALL, SMALL_DEFAULTS, Project, Run, simulated_gpus, simulated_work, together
from fake_nvml import H200, SECOND
from wanbench.trace.reader import read_counters, read_trace

# The work of a case: it takes a lock of its GPU, waits for a condition, and fails. The kernel frees the lock when the
# process ends, however that is, so what two processes had at once is seen without fail.
_WORK = """
import fcntl
notes, case, gpu = Path(NOTES), attempt.case.name, os.environ["CUDA_VISIBLE_DEVICES"]
lock = open(notes / f"lock.{gpu}", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    (notes / f"overlaps.{case}").write_text(gpu)
(notes / f"{'beside' if rank else 'ran'}.{case}").write_text(gpu)
ran = lambda: list(notes.glob("ran.*"))
sampled = lambda: attempt.samples.exists() and attempt.samples.read_text().count("power_w") > 2
while not (sampled() and (CONDITION)):
    time.sleep(0.02)
(notes / f"ended.{case}").touch()
os._exit(1)
"""


def run_cases(
    project: Project,
    notes: Path,
    cases: tuple[str, ...],
    condition: str,
    *arguments: str,
    settings: dict = SMALL,
    **variables: str,
) -> Run:
    """A run of cases that end on a condition, as errors, with notes of the GPUs that their processes had."""
    notes.mkdir()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": dict.fromkeys(cases, settings)})
    work = simulated_work(_WORK.replace("NOTES", repr(str(notes))).replace("CONDITION", condition))
    environment = together(simulated_gpus(H200, SECOND), work) | variables
    run = project.snakemake(*traces(*cases), *arguments, environment=environment)
    assert run.code == 1
    assert "100%" in run.output, run.output
    assert not list(notes.glob("overlaps.*"))
    ran = noted(notes, "ran")
    assert set(ran) == set(cases)
    of_cases = {case: read_trace(project.folder / trace) for case, trace in zip(cases, traces(*cases))}
    sampled = {case: trace.environment["gpu_telemetry"]["gpus"] for case, trace in of_cases.items()}
    assert {case: ",".join(gpus) for case, gpus in sampled.items()} == ran
    return run


def noted(notes: Path, what: str) -> dict[str, str]:
    return {file.suffix[1:]: file.read_text() for file in notes.glob(f"{what}.*")}


def traces(*cases: str) -> list[str]:
    return [f"results/traces/{case}.json" for case in cases]


def test_cases_are_spread_over_the_gpus(new_project: Callable[[], Project], tmp_path: Path) -> None:
    project, notes = new_project(), tmp_path / "notes"
    others = traces("a", "c", "d")
    # The first case ends when another has begun, and the long one when all others have ended.
    condition = f"all(Path(t).exists() for t in {others}) if case == 'long' else case != 'a' or len(ran()) > 1"
    arguments = ("--cores", "4", "--resources", "gpu=2", "--prioritize", "results/traces/a.json")
    run = run_cases(project, notes, ("a", "long", "c", "d"), condition, *arguments)
    assert set(noted(notes, "ran").values()) == {H200, SECOND}
    assert "waits: " not in run.output
    for case in "acd":
        assert run.output.index(f"[{case}] error") < run.output.index("[long] error")


def test_one_gpu_has_one_case_at_a_time(new_project: Callable[[], Project], tmp_path: Path) -> None:
    project, notes, cases = new_project(), tmp_path / "notes", ("a", "b", "c")
    # The first one ends when both others have said that they wait.
    said = "sum('waits: ' in log.read_text() for log in Path('logs/measure').glob('*.log'))"
    condition = f"len(ran()) > 1 or {said} == 2"
    arguments = ("--cores", "8", "--resources", "gpu=8")
    run = run_cases(project, notes, cases, condition, *arguments, CUDA_VISIBLE_DEVICES="1")
    assert noted(notes, "ran") == dict.fromkeys(cases, SECOND)
    first, *waited = sorted(cases, key=lambda case: (notes / f"ended.{case}").stat().st_mtime_ns)
    assert f"[{first}] waits: " not in run.output
    for case in waited:
        line = f"[{case}] waits: other cases have the GPUs that it may use\n"
        assert run.output.count(line) == project.read(f"logs/measure/{case}.log").count(line) == 1


def test_a_case_on_two_gpus_has_both_and_is_sampled_on_both(new_project: Callable[[], Project], tmp_path: Path) -> None:
    """That it makes the video of one GPU, tests/unit/test_ranks.py shows."""
    project, (trace,), notes = new_project(), traces("two"), tmp_path / "notes"
    # The default profile has one `gpu` for all cases together, and the case takes two.
    run_cases(project, notes, ("two",), "True", settings=SMALL | {"gpus": 2})
    assert noted(notes, "ran") == {"two": f"{H200},{SECOND}"}
    assert noted(notes, "beside") == {"two": f"{SECOND},{H200}"}
    assert read_counters(project.folder / trace)["GPU power (W)"]["power"].values[0] == 2 * 685.61
