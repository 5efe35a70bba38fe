"""Tokens, names of people and machines, and home folders are in nothing that is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from measured_cases import kept_videos
from traces import LIMITS, records, trace_of, write
from wanbench.compare.change_verdict import compared_runs
from wanbench.measure.case_log import log_pipe
from wanbench.util import redaction
from wanbench.util.job_entry import RuleLog
from wanbench.util.redaction import redacted, redacted_message

ZAPHOD = ("zaphod", "heartofgold.galaxy.example", "/people/zaphod")


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Looked for anew, each time.
    monkeypatch.setattr(redaction, "_rules", redaction._rules.__wrapped__)
    for name in os.environ:
        if re.search("TOKEN|SECRET|KEY|PASS|USER|HOST|LOGNAME|^HF_|^XDG_", name):
            monkeypatch.delenv(name)
    monkeypatch.setattr("socket.gethostname", lambda: "heartofgold.galaxy.example")
    for name, value in {"HOME": "/people/zaphod", "USER": "zaphod", "DB_PASSWORD": "two words"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/people/zaphod", "~"),
        ("in /people/zaphod/x, /people/zaphod.", "in ~/x, ~."),
        ("-I/people/zaphod/include", "-I~/include"),
        ("/people/zaphods/x", "/people/zaphods/x"),
        ("/scratch/zaphod/x and C:\\zaphod\\x", "/scratch/***/x and C:\\***\\x"),
        ("zaphod@heartofgold: no", "***@***: no"),
        ("https://me:secret@hub.example/x", "https://***@hub.example/x"),
        ("hf_" + "a1B2" * 8, "***"),
        ("with two words and two%20words", "with *** and ***"),
        ("token a-token-in-a-file!", "token ***!"),
        (os.fsdecode(b"/data/\xff.png"), r"/data/\udcff.png"),
        # Words of a prompt, of a package and of a setting.
        ("zaphod on heartofgold", "zaphod on heartofgold"),
        ("hf_transfer flash_hub", "hf_transfer flash_hub"),
    ],
)
def test_what_is_redacted_everywhere(
    planted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    (tmp_path / "token").write_text("a-token-in-a-file\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    assert redacted({"a": [text]}) == {"a": [shown]}


@pytest.mark.parametrize(
    ("account", "machine", "home", "text", "shown"),
    [
        (*ZAPHOD, "Zaphod on heartofgold and heartofgold.galaxy.example", "*** on *** and ***"),
        (*ZAPHOD, "job-zaphod_2, zaphods, azaphod", "job-***_2, zaphods, azaphod"),
        # Names that are words.
        ("server", "gpu", "/server", "a server: gpu in /server/x, /mnt/server", "a server: gpu in ~/x, /mnt/server"),
        ("bob", "n1", "/home/bob", "bob on n1 has /data/bob/x", "bob on n1 has /data/***/x"),
        ("user", "localhost", "/", "the user of localhost in /usr/x", "the user of localhost in /usr/x"),
        ("1000", "4711", "/nonexistent", "1000 of 4711", "1000 of 4711"),
    ],
)
def test_in_messages_names_are_redacted_as_words_too_but_for_names_that_are_words(
    planted: None, monkeypatch: pytest.MonkeyPatch, account: str, machine: str, home: str, text: str, shown: str
) -> None:
    monkeypatch.setenv("USER", account)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("socket.gethostname", lambda: machine)
    monkeypatch.setattr("wanbench.util.redaction._account", lambda: (account, home))
    assert redacted_message(text) == shown


def test_what_processes_print_is_redacted_on_its_way_to_the_log(planted: None, tmp_path: Path) -> None:
    printed = b"at /people/zaphod/x\n 1%\r 50%\r100%\n\x1b[31mred\n\xff end"
    with log_pipe(tmp_path / "log") as pipe:
        os.write(pipe, printed)
    assert (tmp_path / "log").read_text("utf-8").splitlines() == ["at ~/x", "100%", r"\x1b[31mred", r"\xff end"]


def test_a_process_that_keeps_the_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wanbench.measure.case_log._PIPE_ENDS_WITHIN_S", 0.1)
    with log_pipe(tmp_path / "log") as pipe:
        kept = os.dup(pipe)
    os.close(kept)


def test_a_log_that_cannot_be_written_holds_no_process_up(tmp_path: Path) -> None:
    with log_pipe(Path("/dev/full")) as pipe:
        done = subprocess.run([sys.executable, "-c", "print('x\\n' * 100_000)"], stdout=pipe, timeout=30)
    assert done.returncode == 0


def test_a_traceback_of_the_report_tells_no_home_folder(planted: None, tmp_path: Path) -> None:
    log = RuleLog(str(tmp_path / "log"))
    print('File "/people/zaphod/project/x.py"\x1b[0m', file=log)
    assert (tmp_path / "log").read_text() == 'File "~/project/x.py"\\x1b[0m\n'


def test_a_comparison_names_no_home_folder(planted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(tmp_path, trace_of(records([1.0])))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    comparison = compared_runs(str(tmp_path), [file, broken], [file], {}, LIMITS, 10.0, kept_videos(tmp_path))
    assert str(tmp_path) not in repr(comparison)
    assert comparison.baseline == "~"
