"""Secrets and names are planted wherever a run could meet them, and looked for in every file that it leaves."""

import base64
import gzip
import re
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from conftest import SMALL, SMALL_DEFAULTS, Project, Run, copy_project

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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machine") / "home" / ACCOUNT


@pytest.fixture(scope="module")
def project(home: Path) -> Project:
    project = copy_project(home / "project")
    lora = home / "pictures" / HUB_TOKEN / f"{ACCOUNT}@{MACHINE}.safetensors"
    lora.parent.mkdir(parents=True)
    # The case starts, and its error names the path.
    lora.write_bytes(b"no weights")
    (home / ".cache/huggingface").mkdir(parents=True)
    (home / ".cache/huggingface/token").write_text(FILE_TOKEN)
    (home / "site").mkdir()
    (home / "site/sitecustomize.py").write_text(SAYS)
    prompt = f"\x1b[31m\u202e<script>alert(1)</script> {HUB_TOKEN} in {home}/x, " + "a mark in a text, " * 60_000
    cases = {
        "good": SMALL | {"prompt": prompt},
        "fails": SMALL | {"lora": str(lora), "prompt": "a marked rose"},
    }
    project.write_grid({"defaults": SMALL_DEFAULTS, "cases": cases})
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
    return project.snakemake(environment=planted)


def texts(file: Path) -> bytes:
    """All bytes of a file, and of what is compressed in it."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file).to_csv().encode()
    data = file.read_bytes()
    packed = re.findall(rb"data:application/gzip;base64,([A-Za-z0-9+/=]+)", data)
    return b"\n".join([data, *(gzip.decompress(base64.b64decode(part)) for part in packed)])


def test_no_file_tells_a_secret_a_home_folder_an_account_or_a_machine(project: Project, run: Run, home: Path) -> None:
    assert run.code == 1, run.output  # one case fails, as it should
    files = [file for part in ("results", "logs") for file in (project.folder / part).rglob("*") if file.is_file()]
    assert {"good.mp4", "report.md", "report.html", "fails.json", "good.log", "cases.parquet"} <= {
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
    line = next(line for line in project.read("logs/measure/good.log").splitlines() if line.startswith("It says:"))
    assert line == r"It says: *** *** *** *** ~ *** https://***@hub/*** \x1b]0;title\x07"
    failure = project.read("results/failures/fails.json")
    assert "lora: ~/pictures/***/***@***.safetensors does not fit" in failure
    assert "fails: error in Model_Initialization: ValueError: lora: " in run.output
    for secret in (HUB_TOKEN, FILE_TOKEN, CLOUD_SECRET):
        assert secret not in run.output
    report = project.read("results/report.md")
    assert "**LoRA**: \\~/pictures/\\*\\*\\*/\\*\\*\\*@\\*\\*\\*.safetensors" in report
    assert "a marked rose (1 case)" in report


def test_a_prompt_of_a_megabyte_is_shown_in_short_with_its_length(project: Project, run: Run) -> None:
    report, page = project.read("results/report.md"), project.read("results/report.html")
    assert "\\\\x1b\\[31m\\\\u202e&lt;script&gt;alert(1)&lt;/script&gt; \\*\\*\\* in \\~/x, a mark in" in report
    # Without the blank at its end.
    assert "(the first 1,000 of 1,080,0" in report
    visible_page = re.sub(r'src="data:[^"]+"', "", page)
    assert max(len(report), len(visible_page)) < 100_000
    assert len(page) < 2_000_000
    for text in (report, page, project.read("results/tables/cases.csv"), project.read("results/traces/good.json")):
        assert not {"\x1b", "\u202e"} & set(text)
