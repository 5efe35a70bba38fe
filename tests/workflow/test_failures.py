"""Cases that fail: rows of the report, a run that says so, and a next run that tries only them again.

Secrets and names are planted wherever the run could meet them, and looked for in every file that it leaves.
"""

import base64
import gzip
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import psutil
import pytest
from safetensors.numpy import save_file

from conftest import SMALL, SMALL_DEFAULTS, Project, Run, copy_project, simulated_work
from wanbench.measure.failures import failures
from wanbench.trace.reader import read_counters, read_trace

CASES = ["a_good", "b_too_big", "c_too_slow", "d_broken", "e_lost"]
ACCOUNT, MACHINE = "zaphod", "heartofgold"
HUB_TOKEN, OTHER_HUB_TOKEN = "hf_" + "Ab1" * 11, "plain-words-as-a-token"
FILE_TOKEN, CLOUD_SECRET = "a-token-from-a-file", "wJalrX/UtnFEMI+bPx"
# What software might say of where it runs; on both streams of every process that measures.
SAYS = """
import os, sys
if any(word.startswith("wanbench.measure") for word in sys.orig_argv):
    told = [os.environ[name] for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "USER", "HOSTNAME", "HOME")]
    told.append(open(os.path.expanduser("~/.cache/huggingface/token")).read())
    for stream in (sys.stdout, sys.stderr):
        print("It says:", *told, f"https://{told[0]}:x@hub/{os.environ['USER']}", "\\x1b]0;title\\x07", file=stream)
"""


def grid(home: Path) -> dict[str, Any]:
    prompt = f"\x1b[31m\u202e<script>alert(1)</script> {HUB_TOKEN} in {home}/x, " + "a mark in a text, " * 10_000
    cases = {
        "a_good": SMALL | {"prompt": prompt},
        # Terabytes of latents: the allocator refuses at once.
        "b_too_big": SMALL | {"size": "65536*65536", "frames": 4001},
        "c_too_slow": SMALL | {"timeout_s": 1},
        "d_broken": SMALL | {"lora": str(lora(home)), "prompt": "a marked rose"},
        "e_lost": SMALL,
    }
    return {"defaults": SMALL_DEFAULTS, "cases": cases}


def lora(home: Path) -> Path:
    return home / "pictures" / HUB_TOKEN / f"{ACCOUNT}@{MACHINE}.safetensors"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine") / "home" / ACCOUNT


@pytest.fixture(scope="module")
def project(home: Path) -> Project:
    project = copy_project(home / "project")
    lora(home).parent.mkdir(parents=True)
    # The case starts, and its error names the path.
    save_file({"transformer.other.lora_A.weight": np.zeros((2, 2))}, lora(home))
    (home / ".cache/huggingface").mkdir(parents=True)
    (home / ".cache/huggingface/token").write_text(FILE_TOKEN)
    (home / "site").mkdir()
    (home / "site/sitecustomize.py").write_text(SAYS)
    project.write_grid(grid(home))
    return project


@pytest.fixture(scope="module")
def run(project: Project, home: Path) -> Run:
    planted = {
        "HOME": str(home),
        "USER": ACCOUNT,
        "LOGNAME": ACCOUNT,
        "HOSTNAME": f"{MACHINE}.galaxy.example",
        "HF_TOKEN": HUB_TOKEN,
        "TORCH_EXTENSIONS_DIR": f"{home}/extensions",
        "NCCL_HOSTID": MACHINE,
        "TORCH_ACCESS_KEY": CLOUD_SECRET,
        "HUGGING_FACE_HUB_TOKEN": OTHER_HUB_TOKEN,
        "AWS_SECRET_ACCESS_KEY": CLOUD_SECRET,
        "PYTHONPATH": str(home / "site"),
        # Or it would look for all fonts again.
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }
    threading.Thread(target=kill_job_of, args=(project, "e_lost"), daemon=True).start()
    return project.snakemake(environment=planted)


def texts(file: Path) -> bytes:
    """All bytes of a file, and of what is compressed in it."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file).to_csv().encode()
    data = file.read_bytes()
    packed = re.findall(rb"data:application/gzip;base64,([A-Za-z0-9+/=]+)", data)
    return b"\n".join([data, *(gzip.decompress(base64.b64decode(part)) for part in packed)])


def kill_job_of(project: Project, case: str) -> None:
    """Kill what measures a case, and with it the process that would write its trace."""
    job_file = f"results/attempts/{case}/job.json"
    while True:
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if process.info["cwd"] == str(project.folder) and job_file in (process.info["cmdline"] or []):
                process.parent().kill()
                return
        time.sleep(0.1)


def status(project: Project, case: str) -> str:
    return read_trace(project.folder / "results/traces" / f"{case}.json").status


def test_every_case_is_tried_and_the_report_is_complete(project: Project, run: Run) -> None:
    assert [status(project, case) for case in CASES] == ["ok", "oom", "timeout", "error", "killed"]
    report = project.read("results/report.md")
    for case in CASES:
        assert f"## Case: {case}\n" in report
        assert case in project.read(f"results/plots/cases/{case}/timeline.svg")
    # What is never shown of a text: tests/unit/test_hostile_traces.py.
    for text in (report, re.sub(r'src="data:[^"]+"', "", project.read("results/report.html"))):
        assert "(the first 1,000 of 180,0" in text
        assert len(text) < 100_000
    assert "**Ended with status oom in TI2V_Preprocess**" in report
    assert "**Ended with status timeout in Process_Startup**: ended after timeout\\_s = 1 s" in report


def test_out_of_memory_is_no_failed_attempt_and_is_sampled_beyond_its_end(project: Project, run: Run) -> None:
    file = project.folder / "results/traces/b_too_big.json"
    trace = read_trace(file)
    assert trace.error["stage_reached"] == "TI2V_Preprocess"
    assert "can't allocate memory" in trace.error["message"]
    assert "b_too_big" not in failures(project.folder / "results")
    assert not (project.folder / "results/last_good/b_too_big.json").exists()
    total = next(stage for stage in trace.stages if stage.name == "Total_Execution")
    times_s = read_counters(file)["CPU (%)"]["machine"].times_s
    assert any(time_s > total.start_s + total.extent_s for time_s in times_s)


def test_the_run_fails_and_says_which_case_and_why(run: Run) -> None:
    assert run.code == 1
    assert "c_too_slow: timeout in Process_Startup: ended after timeout_s = 1 s" in run.output
    assert "logs/measure/d_broken.log" in run.output
    assert re.search(r"^e_lost: killed( in Process_Startup)?: ended before it could write a trace: ", run.output, re.M)
    assert "b_too_big: oom" not in run.output


def test_no_file_tells_a_secret_a_home_folder_an_account_or_a_machine(project: Project, run: Run, home: Path) -> None:
    files = [file for part in ("results", "logs") for file in (project.folder / part).rglob("*") if file.is_file()]
    assert {"a_good.mp4", "report.md", "report.html", "d_broken.json", "a_good.log", "cases.parquet"} <= {
        f.name for f in files
    }
    planted = [HUB_TOKEN, OTHER_HUB_TOKEN, FILE_TOKEN, CLOUD_SECRET, ACCOUNT, MACHINE, str(home), str(Path.home())]
    told = {
        (str(file.relative_to(project.folder)), word)
        for file in files
        for word in planted
        if word.encode() in texts(file)
    }
    assert told == set()


def test_what_was_excluded_leaves_the_rest_as_it_was(project: Project, run: Run) -> None:
    line = next(line for line in project.read("logs/measure/a_good.log").splitlines() if line.startswith("It says:"))
    assert line == r"It says: *** *** *** *** ~ *** https://***@hub/*** \x1b]0;title\x07"
    failure = project.read("results/failures/d_broken.json")
    assert "lora: ~/pictures/***/***@***.safetensors does not fit" in failure
    assert "d_broken: error in Model_Initialization: ValueError: lora: " in run.output
    for secret in (HUB_TOKEN, FILE_TOKEN, CLOUD_SECRET):
        assert secret not in run.output
    report = project.read("results/report.md")
    assert "**LoRA**: \\~/pictures/\\*\\*\\*/\\*\\*\\*@\\*\\*\\*.safetensors" in report
    assert "a marked rose (1 case)" in report


def test_the_next_run_tries_only_the_failed_cases_again(project: Project, run: Run) -> None:
    report = {("tabulate", ""), ("report", ""), ("page", ""), ("outcome", "")}
    failed = {("measure", "c_too_slow"), ("measure", "d_broken")}
    lost = {("measure", "e_lost")}
    assert project.plan() == failed | lost | report
    traces = [f"results/traces/{case}.json" for case in ("c_too_slow", "a_good")]
    again = project.snakemake(*traces, environment=simulated_work("time.sleep(600)"))
    assert again.code == 1
    assert again.jobs == {("measure", "c_too_slow")}
    assert "a_good: " not in again.output.split("All that was asked for is made, but:")[1]
    assert project.snakemake(traces[1]).code == 0


def test_a_mended_case_ends_the_failures_and_is_not_tried_again(project: Project, run: Run, home: Path) -> None:
    mended = grid(home)
    mended["cases"]["c_too_slow"] = SMALL
    del mended["cases"]["d_broken"]
    (project.folder / "results/traces/d_broken.json").unlink()
    project.write_grid(mended)
    done = project.snakemake("results/traces/c_too_slow.json", environment=simulated_work())
    assert done.code == 0, done.output
    assert done.jobs == {("measure", "c_too_slow")}
    assert status(project, "c_too_slow") == "ok"
    assert {job for job in project.plan() if job[0] == "measure"} == {("measure", "e_lost")}


def test_the_last_good_trace_outlives_a_failed_attempt(project: Project, run: Run, home: Path) -> None:
    good = Path(project.folder, "results/last_good/a_good.json").read_bytes()
    settings = grid(home)["cases"]["a_good"]
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a_good": settings | {"timeout_s": 1}}})
    too_slow = simulated_work("time.sleep(600)")
    assert project.snakemake("results/traces/a_good.json", environment=too_slow).code == 1
    assert status(project, "a_good") == "timeout"
    assert Path(project.folder, "results/last_good/a_good.json").read_bytes() == good
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": {"a_good": settings}})
    shutil.copy(project.folder / "results/last_good/a_good.json", project.folder / "results/traces")
    assert project.snakemake("--touch", "results/traces/a_good.json").code == 0
    plan = project.plan()
    assert {rule for rule, _ in plan} >= {"tabulate", "report"}
    assert ("measure", "a_good") not in plan
