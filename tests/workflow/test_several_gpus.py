"""Cases side by side on simulated GPUs, in real Snakemake runs: never two on one, and nothing drawn meanwhile."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import psutil

from conftest import SMALL, SMALL_DEFAULTS, Project, simulated_gpus
from fake_nvml import H200, SECOND
from reports import tables
from wanbench.trace.reader import read_counters, read_trace

# Cases are ended after seconds, long before they have imported anything: only where and when they run matters.
SHORT, LONG = SMALL | {"timeout_s": 1}, SMALL | {"steps": 1000, "timeout_s": 5}


@contextmanager
def watched(project: Project) -> Iterator[list[dict[str, str]]]:
    """What was seen of the project's measuring processes, twenty times a second: the GPU that each case may use.

    Fails where two are on one GPU, or where a sampler looks at another than its case has.
    """
    seen: list[dict[str, str]] = []
    ended, faults = threading.Event(), []

    def watch() -> None:
        while not ended.wait(0.05):
            gpus: dict[str, str] = {}
            sampled: dict[str, str] = {}
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    command = process.cmdline()
                    if "wanbench.measure.measured_process" in command and process.cwd() == str(project.folder):
                        gpus[case_of(command[-1])] = process.environ().get("CUDA_VISIBLE_DEVICES", "")
                    if "wanbench.telemetry.sampler" in command and process.cwd() == str(project.folder):
                        sampled[case_of(command[4])] = command[-1]
            if len(set(gpus.values())) < len(gpus):
                faults.append(f"two cases on one GPU: {gpus}")
            if any(sampled[case] != gpus[case] for case in gpus.keys() & sampled.keys()):
                faults.append(f"sampled {sampled} of {gpus}")
            seen.append(gpus)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    assert not faults


def case_of(file: str) -> str:
    return Path(file).parent.name


def traces(*cases: str) -> list[str]:
    return [f"results/traces/{case}.json" for case in cases]


def test_cases_are_spread_over_the_gpus_and_no_picture_is_drawn_while_one_is_measured(
    new_project: Callable[[], Project],
) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SHORT, "long": LONG, "c": SHORT, "d": SHORT}})
    first, picture = "results/traces/a.json", "results/plots/a/pictures.json"
    with watched(project) as seen:
        run = project.snakemake(
            "--cores", "4", *traces("long", "c", "d"), picture, "--resources", "gpu=2", "--prioritize", first,
            environment=simulated_gpus(H200, SECOND),
        )  # fmt: skip
    # All cases end at their time limit.
    assert run.code == 1
    assert "100%" in run.output, run.output
    assert {gpu for gpus in seen for gpu in gpus.values()} == {H200, SECOND}
    assert max(len(gpus) for gpus in seen) == 2
    assert {case for gpus in seen for case in gpus} == {"a", "long", "c", "d"}
    assert "waits: " not in run.output
    # The trace was there before the long case ended, and there were cores to spare.
    assert run.output.index("[a] timeout") < run.output.index("[long] timeout") < run.output.index("rule plot_case:")


def test_whatever_cores_and_resources_say_one_gpu_has_one_case_at_a_time_and_the_others_say_that_they_wait(
    new_project: Callable[[], Project],
) -> None:
    project = new_project()
    cases = ("a", "b", "c")
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": dict.fromkeys(cases, SHORT)})
    with watched(project) as seen:
        run = project.snakemake(
            "--cores", "8", *traces(*cases), "--resources", "gpu=8",
            environment=simulated_gpus(H200, SECOND) | {"CUDA_VISIBLE_DEVICES": "1"},
        )  # fmt: skip
    # All cases end at their time limit.
    assert run.code == 1
    assert "100%" in run.output, run.output
    assert {tuple(gpus.values()) for gpus in seen} == {(), (SECOND,)}
    assert {case for gpus in seen for case in gpus} == set(cases)
    waiting = [case for case in cases if "waits: other cases have" in project.read(f"logs/measure/{case}.log")]
    assert len(waiting) == 2
    for case in waiting:
        line = f"[{case}] waits: other cases have the GPUs that it may use\n"
        assert run.output.count(line) == project.read(f"logs/measure/{case}.log").count(line) == 1
        assert read_trace(project.folder / traces(case)[0]).total_duration_s < 2


def test_a_folder_of_locks_that_others_could_write_ends_the_case_with_one_line_and_no_trace(
    new_project: Callable[[], Project], tmp_path: Path
) -> None:
    project = new_project()
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a": SHORT}})
    folder = tmp_path / "tmp" / f"wanbench-{os.geteuid()}"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    run = project.snakemake(*traces("a"), environment={"TMPDIR": str(folder.parent)})
    assert run.code == 1
    assert f"[a] {folder}: belongs to user {os.geteuid()} with mode 777, so others could" in run.output
    assert "Traceback" not in run.output
    assert "belongs to user" in project.read("logs/measure/a.log")
    assert not (project.folder / "results/traces/a.json").exists()


def test_a_case_on_two_gpus_makes_the_video_of_one_and_is_sampled_on_both(new_project: Callable[[], Project]) -> None:
    project = new_project()
    case = {"model": "T2V-A14B", "size": "32*32", "frames": 5, "steps": 4}
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"one": case, "two": case | {"gpus": 2}}})
    # The default profile has one `gpu` for all cases together, and the case takes two.
    run = project.snakemake(environment=simulated_gpus(H200, SECOND))
    assert run.code == 0, run.output
    one, two = (read_trace(project.folder / trace) for trace in traces("one", "two"))
    assert [trace.environment["gpu_telemetry"]["gpus"] for trace in (one, two)] == [[H200], [H200, SECOND]]
    watts = [
        read_counters(project.folder / trace)["GPU power (W)"]["power"].values[0] for trace in traces("one", "two")
    ]
    assert watts == [685.61, 2 * 685.61]
    videos = [imageio.imread(project.folder / f"results/videos/{name}.mp4").astype(float) for name in ("one", "two")]
    assert np.abs(videos[1] - videos[0]).max() <= 1
    (summary, *_) = tables(project.read("results/report.md"), "Case")
    assert [row["GPUs"] for row in summary] == ["1", "2"]
