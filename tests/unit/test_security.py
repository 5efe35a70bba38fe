"""Grid files, prompts, checkpoints and traces are data: they run nothing, lead nowhere, and hide nothing."""

import base64
import csv
import gzip
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from conftest import ROOT
from reports import THRESHOLDS, content_from, full_case
from tiny import CPU, record, tiny_case
from traces import GPU, LIMITS, Outcome, records, trace_of, write
from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml
from wanbench.errors import InputError
from wanbench.measure.log_pipe import log_pipe
from wanbench.measure.wan.build import ARCHITECTURES, build_pipeline
from wanbench.measure.wan.checkpoint import write_checkpoint
from wanbench.redact import redacted, redacted_message
from wanbench.report.collect import collect, not_of_the_grid
from wanbench.report.compare.runs import compared_runs
from wanbench.report.findings.registry import findings_by_case
from wanbench.report.findings.table import findings_table
from wanbench.report.markdown import to_markdown
from wanbench.report.numbers import plain
from wanbench.report.outcome import faults_of
from wanbench.report.page import to_page
from wanbench.report.plots.case import case_pictures
from wanbench.report.plots.grid import stage_times
from wanbench.report.plots.picture import save
from wanbench.report.plots.time_memory import time_memory
from wanbench.report.tables import (
    cases_table,
    details_table,
    left_out_table,
    records_by_case,
    stages_table,
    write_table,
)
from wanbench.rule_log import open_log
from wanbench.text import one_line, visible
from wanbench.trace import reader
from wanbench.trace.writer import write_trace

MARKUP = '</script><script>alert(1)</script> <img src=x onerror="alert(2)"> | [a](javascript:alert(3)) $x^2$ `b` **c**'
CONTROLS = "a\x00b\x1b[31mc\x9bd\u202ee\u2066f\x7fg\u2028h"
# What is never in a file that is made for reading.
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def refused(action: Callable[[], Any]) -> str:
    """The one line with which it is refused, at once."""
    begun_s = time.monotonic()
    with pytest.raises(InputError) as error:
        action()
    assert time.monotonic() - begun_s < 10
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000
    assert not ACTIVE.search(text)
    return text


# Grid files

_LAUGHS = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + _LAUGHS, "its aliases stand for more than 1,000,000 values"),
        ("cases: &a {x: *a}\n", "line 1: stands for itself"),
        # Later versions of libyaml stop at 1,000 brackets by themselves.
        ("[" * 300_000, "nest"),
        ("- " * 300_000, "line 1: nests more than 100 deep"),
        ("a: !!python/object/apply:os.system ['touch planted']\n", "could not determine a constructor"),
        ("? [a]\n: b\n", "line 1: a list is not allowed as a key"),
        ("a: 2001-13-45\n", "month must be in 1..12"),
        ("a: " + "9" * 5000, "integer"),
        ("a: !!bool perhaps", "not valid YAML"),
        ('cases: {a: {prompt: "\\ud83d\\ude00"}}', "line 1, column 24: not valid YAML: found invalid Unicode"),
        ("a: \x1b[31m", "control characters are not allowed"),
    ],
    ids=[
        "laughs",
        "endless",
        "brackets",
        "dashes",
        "object",
        "list as key",
        "date",
        "digits",
        "bool",
        "surrogate",
        "escape",
    ],
)
def test_a_hostile_grid_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(text, "utf-8")
    assert part in refused(lambda: read_yaml(Path("grid.yaml")))
    assert os.listdir() == ["grid.yaml"]


def test_aliases_that_save_writing_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("a: &a {steps: 3}\nb: [*a, *a]\n")
    assert read_yaml(file)["b"] == [{"steps": 3}, {"steps": 3}]


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "..", ".x", "a..b", "a\n", "a\x00", "a\u202eb", "<b>", "$x$", "a" * 101]
)
def test_a_name_that_is_no_plain_file_name_is_refused(name: str) -> None:
    assert "is not allowed; allowed: " in refused(lambda: resolve_cases({"cases": {name: {"model": "TI2V-5B"}}}, "g"))


@pytest.mark.parametrize(
    "pattern", ["../{model}", "{model}/x", "{model:>9999999999}", "{model!r}", "{model.__class__}"]
)
def test_a_pattern_of_names_makes_plain_names_only(pattern: str) -> None:
    refused(lambda: resolve_cases({"grid": {"name": pattern, "axes": {"model": ["TI2V-5B"]}}}, "g"))


def test_a_grid_of_more_combinations_than_can_be_listed_is_refused() -> None:
    axes = {key: list(range(1, 1001)) for key in ("steps", "seed", "repeats")}
    assert "1,000,000,000 combinations" in refused(lambda: resolve_cases({"grid": {"name": "x", "axes": axes}}, "g"))


@pytest.mark.parametrize(("key", "value"), [("size", "64*64\n"), ("revision", "0" * 40 + "\n"), ("offload", CONTROLS)])
def test_a_value_is_checked_to_its_end(key: str, value: str) -> None:
    settings = {"model": "TI2V-5B", "weights": "pretrained", "unofficial_size": True, key: value}
    assert f"{key}: " in refused(lambda: resolve_cases({"cases": {"a": settings}}, "g"))


# Checkpoints


class _Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "checkpoint"
    write_checkpoint("TI2V-5B", "tiny", folder)
    return folder


@pytest.fixture
def altered(checkpoint: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    subprocess.run(["cp", "-r", str(checkpoint), str(folder)], check=True)
    return folder


def case_of(folder: Path) -> Case:
    return tiny_case(weights="pretrained", checkpoint=str(folder))


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("part", ["transformer/diffusion_pytorch_model", "text_encoder/pytorch_model"])
def test_weights_that_are_a_pickle_are_refused_before_the_run_and_never_loaded(altered: Path, part: str) -> None:
    case = case_of(altered)
    weights = (altered / part).with_suffix(".bin")
    next(weights.parent.glob("*.safetensors")).unlink()
    weights.write_bytes(pickle.dumps(_Planted(altered / "planted")))
    text = refused(lambda: case_of(altered))
    assert f"its weights are pickles, which run code ({weights.parent.name}/{weights.name})" in text
    # Nor by diffusers and transformers, if it were let through.
    with pytest.raises(OSError, match="safetensors"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))
    assert not (altered / "planted").exists()


def test_a_pickle_that_is_called_safetensors_is_not_loaded(altered: Path) -> None:
    case = case_of(altered)
    file = next((altered / "transformer").glob("*.safetensors"))
    file.write_bytes(pickle.dumps(_Planted(altered / "planted")))
    with pytest.raises(Exception, match=r"deserializing header|safetensors"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))
    assert not (altered / "planted").exists()


PLANT = "import os\nos.mkdir(os.environ['PLANTED'])\n"


@pytest.mark.parametrize(
    ("alter", "part"),
    [
        (lambda f: edit(f / "model_index.json", transformer=["planted", "Model"]), '{"transformer": '),
        (lambda f: edit(f / "model_index.json", transformer=["os", "system"]), "no class of diffusers or transformers"),
        (lambda f: edit(f / "model_index.json", transformer=["diffusers", "a.b"]), "no class of diffusers"),
        (lambda f: edit(f / "model_index.json", **{"../x": ["diffusers", "WanPipeline"]}), "no class of diffusers"),
        (lambda f: edit(f / "model_index.json", _class_name=["planted", "Pipeline"]), "names a pipeline of its own"),
        (lambda f: (f / "transformer/diffusers.py").write_text(PLANT), "it holds code (transformer/diffusers.py)"),
        (lambda f: (f / "planted.py").write_text(PLANT), "it holds code (planted.py)"),
        (
            lambda f: edit(f / "text_encoder/config.json", auto_map={"AutoModel": "planted.Model"}),
            "auto_map in text_enc",
        ),
        (lambda f: (f / "model_index.json").write_text("[" * 100_000), "model_index.json cannot be read"),
        (lambda f: (f / "model_index.json").write_text("3"), "model_index.json is no JSON object"),
    ],
    ids=["module", "os", "dotted", "folder", "pipeline", "component.py", "pipeline.py", "auto_map", "deep", "number"],
)
def test_a_checkpoint_with_code_is_refused_before_the_run(
    altered: Path, monkeypatch: pytest.MonkeyPatch, alter: Callable[[Path], Any], part: str
) -> None:
    monkeypatch.setenv("PLANTED", str(altered / "planted"))
    alter(altered)
    text = refused(lambda: case_of(altered))
    assert text.startswith("tiny: case 'tiny': checkpoint: ")
    assert part.replace('{"', "{'").replace('": ', "': ") in text
    assert not (altered / "planted").exists()


def test_code_in_a_checkpoint_is_not_run_if_it_were_let_through(altered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", str(altered / "planted"))
    case = case_of(altered)
    edit(altered / "model_index.json", transformer=["planted", "Model"])
    (altered / "transformer/planted.py").write_text(PLANT)
    with pytest.raises(Exception, match="trust_remote_code"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))
    assert not (altered / "planted").exists()


def test_the_published_layout_and_other_forms_of_the_same_weights_are_allowed(altered: Path) -> None:
    (altered / "transformer/diffusion_pytorch_model.bin").write_bytes(b"beside safetensors it is not loaded")
    case_of(altered)
    for model in ARCHITECTURES.glob("*/*"):
        case_of(model)


# Text


def test_text_that_acts_or_hides_is_shown_as_escapes_and_other_text_as_it_is() -> None:
    assert visible(CONTROLS) == r"a\x00b\x1b[31mc\x9bd\u202ee\u2066f\x7fg\u2028h"
    assert visible("\ud800\U000e0041") == r"\ud800\U000e0041"
    ordinary = "色调艳丽,\u3000过曝。 Zürich\u00a0\n\t👩\u200d🚀 \U0001f600"
    assert visible(ordinary) == ordinary


def test_a_megabyte_of_text_is_cut_and_its_length_said() -> None:
    begun_s = time.monotonic()
    text = plain("<b> " * 300_000)
    assert time.monotonic() - begun_s < 1
    assert text.startswith("&lt;b&gt; &lt;b&gt;")
    assert text.endswith("… (the first 1,000 of 1,199,999 characters)")
    assert one_line("x" * 1000) == "x" * 1000


def test_text_of_a_trace_stays_the_same_and_its_file_shows_what_is_hidden(tmp_path: Path) -> None:
    trace = {"prompt": CONTROLS + "色\U000e0041", "traceEvents": [{"name": CONTROLS}]}
    write_trace(tmp_path / "t.json", trace)
    text = (tmp_path / "t.json").read_text("utf-8")
    assert json.loads(text).items() >= trace.items()
    assert not ACTIVE.search(text)
    assert "色" in text


# Secrets and names


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
    ("text", "shown"),
    [
        ("Zaphod on heartofgold and heartofgold.galaxy.example", "*** on *** and ***"),
        ("job-zaphod_2, zaphods, azaphod", "job-***_2, zaphods, azaphod"),
    ],
)
def test_in_messages_names_are_redacted_as_words_too(planted: None, text: str, shown: str) -> None:
    assert redacted_message(text) == shown


@pytest.mark.parametrize(
    ("account", "machine", "home", "text", "shown"),
    [
        ("root", "gpu", "/root", "root cause: gpu in /root/x and /mnt/root", "root cause: gpu in ~/x and /mnt/root"),
        ("bob", "n1", "/home/bob", "bob on n1 has /data/bob/x", "bob on n1 has /data/***/x"),
        ("user", "localhost", "/", "the user of localhost in /usr/x", "the user of localhost in /usr/x"),
        ("1000", "4711", "/nonexistent", "1000 of 4711", "1000 of 4711"),
    ],
)
def test_names_that_are_words_do_not_take_words_out_of_messages(
    planted: None, monkeypatch: pytest.MonkeyPatch, account: str, machine: str, home: str, text: str, shown: str
) -> None:
    monkeypatch.setenv("USER", account)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("socket.gethostname", lambda: machine)
    monkeypatch.setattr("wanbench.redact._account", lambda: (account, home))
    assert redacted_message(text) == shown


def test_a_file_name_that_is_no_text_can_be_written(planted: None) -> None:
    assert redacted(os.fsdecode(b"/data/\xff.png")) == r"/data/\udcff.png"


def test_what_processes_print_is_redacted_on_its_way_to_the_log(planted: None, tmp_path: Path) -> None:
    said = "import sys; sys.stdout.write('at /people/zaphod/x\\n 1%\\r 50%\\r100%\\n\\x1b[31mred\\n\\udcff end')"
    with log_pipe(tmp_path / "log") as pipe:
        subprocess.run(
            [sys.executable, "-c", said], stdout=pipe, env=os.environ | {"PYTHONIOENCODING": ":surrogateescape"}
        )
    assert (tmp_path / "log").read_text("utf-8").splitlines() == ["at ~/x", "100%", r"\x1b[31mred", r"\xff end"]


def test_a_process_that_keeps_the_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wanbench.measure.log_pipe._ENDS_WITHIN_S", 0.1)
    with log_pipe(tmp_path / "log") as pipe:
        keeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=-1, stdout=pipe)
    keeper.communicate()


def test_a_log_that_cannot_be_written_holds_no_process_up(tmp_path: Path) -> None:
    with log_pipe(Path("/dev/full")) as pipe:
        done = subprocess.run([sys.executable, "-c", "print('x\\n' * 100_000)"], stdout=pipe, timeout=30)
    assert done.returncode == 0


def test_a_traceback_of_the_report_tells_no_home_folder(planted: None, tmp_path: Path) -> None:
    log = open_log(str(tmp_path / "log"))
    print('File "/people/zaphod/project/x.py"\x1b[0m', file=log)
    assert (tmp_path / "log").read_text() == 'File "~/project/x.py"\\x1b[0m\n'


def test_a_comparison_names_no_home_folder(planted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write(tmp_path, trace_of(records([1.0])))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    comparison = compared_runs(str(tmp_path), [file, broken], [file], {}, LIMITS)
    assert str(tmp_path) not in repr(comparison)
    assert comparison.baseline == "~"


# Traces


def a_trace() -> dict[str, Any]:
    case = full_case(weights="pretrained")
    failed = Outcome("error", "it failed", "ValueError")
    trace = trace_of(records([2.0] * 3, environment=GPU, case=case), case=case, outcome=failed)
    trace["error"]["stage_reached"] = "VAE_Decoding"
    trace["case"]["image"] = "first.png"
    trace["environment"]["gpu_telemetry"] = {"error": "no NVML", "driver": "580", "power_limit_w": 700.0}
    trace["traceEvents"].append(
        {"name": "Pass", "cat": "detail", "ph": "X", "ts": 9, "dur": 2, "pid": 1, "tid": 3, "args": {"generation": 0}}
    )
    return trace


def everything_of(file: Path) -> dict[str, str]:
    """All that is made of a trace, by file; of pictures the SVG, which must be XML."""
    folder = file.parent / "made"
    folder.mkdir(exist_ok=True)
    traces, left_out = collect([file], None, LIMITS)
    tables = cases_table(traces), stages_table(traces), details_table(traces), left_out_table(left_out)
    content = content_from(*tables)
    for name, table in zip(("cases", "stages", "details", "left_out"), tables):
        write_table(table, folder / f"{name}.csv", folder / f"{name}.parquet")
    found = findings_by_case(tables[0], records_by_case(tables[1]), THRESHOLDS)
    write_table(findings_table(found), folder / "findings.csv", folder / "findings.parquet")
    (folder / "report.md").write_text(to_markdown(content), "utf-8")
    page = to_page(content, [], {trace.case["name"]: file for trace in traces})
    (folder / "report.html").write_text(re.sub("base64,[A-Za-z0-9+/=]+", "", page), "utf-8")
    (folder / "terminal").write_text("\n".join(faults_of(tables[0], tables[3], "grid.yaml")), "utf-8")
    save(case_pictures(file, None, LIMITS), "full", folder)
    save({"times": stage_times(*tables[:2]), "settings": time_memory(tables[0], 2)}, None, folder)
    for picture in folder.glob("*.svg"):
        ElementTree.parse(picture)
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.suffix not in (".png", ".parquet")}


def kind_of(trace: dict[str, Any], path: tuple[Any, ...]) -> tuple[Any, ...]:
    """A path, or for an event what stands for all of its kind."""
    event = trace["traceEvents"][path[1]] if path[0] == "traceEvents" else {}
    return (event["ph"], event.get("cat"), *path[2:]) if event else path


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all texts."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, str):
        yield path
    for key, item in items:
        yield from leaves(item, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def test_no_text_of_a_trace_is_anything_but_text_wherever_it_is_shown(tmp_path: Path) -> None:
    """Each alone: where it cannot be a name or a setting the trace is refused, in one line."""
    trace = a_trace()
    paths = {kind_of(trace, path): path for path in leaves(trace)}
    accepted = []
    for path in paths.values():
        for hostile in (MARKUP, CONTROLS, f"../../{MARKUP}"):
            altered = json.loads(json.dumps(trace))
            put(altered, path, hostile)
            file = tmp_path / "full.json"
            write_trace(file, altered)
            _, left_out = collect([file], None, LIMITS)
            for item in left_out:
                assert "\n" not in item.reason
                assert not ACTIVE.search(item.reason)
            accepted += [] if left_out else [path]
    shown = {("case", "prompt"), ("case", "image"), ("error", "message"), ("environment", "gpu_telemetry", "error")}
    assert shown <= set(accepted)
    assert not {("case", "name"), ("case", "model"), ("git_commit",), ("started_at",), ("status",)} & set(accepted)
    for hostile in (MARKUP, CONTROLS):
        altered = json.loads(json.dumps(trace))
        for path in accepted:
            # A GPU and a processor have names in ASCII.
            label = path[0] == "environment" and path[-1] != "error"
            put(altered, path, MARKUP.replace("`", "") if label else hostile)
        made = everything_of(write(tmp_path, altered))
        assert "## Left out" not in made["report.md"]
        for name, text in made.items():
            assert not ACTIVE.search(text), name
        # A host of Markdown that lets HTML through.
        as_html = MarkdownIt("commonmark", {"html": True}).enable("table").render(made["report.md"])
        for html, own in ((as_html, []), (made["report.html"], ["script"])):
            assert elements_that_act(html) == own
        for name, text in made.items():
            assert not name.endswith(".svg") or "<script" not in text.lower()


def elements_that_act(html: str) -> list[str]:
    """Elements that run, load or lead somewhere, but for links within the page and downloads out of it."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            target = dict(attrs).get("href", "#") or ""
            acts = any(name.startswith("on") for name, _ in attrs) or not target.startswith(
                ("#", "data:application/gzip")
            )
            if acts or tag in ("script", "img", "iframe", "object", "svg", "form"):
                found.append(tag)

    Reader().feed(html)
    return found


def test_a_trace_that_names_another_file_is_left_out_and_leads_nowhere(tmp_path: Path) -> None:
    trace = a_trace()
    trace["case"]["name"] = "../../planted"
    file = tmp_path / "full.json"
    write_trace(file, trace)
    made = everything_of(file)
    assert "case.name: must match pattern" in made["left_out.csv"]
    assert "planted" not in made["report.html"].replace("../../planted", "")
    assert "download=" not in made["report.html"]
    assert {item.name for item in tmp_path.parent.iterdir() if item.name.startswith("planted")} == set()


def test_a_file_of_any_name_among_the_traces_is_named_and_breaks_nothing(tmp_path: Path) -> None:
    name = os.fsdecode(b"results/traces/\xff\x1b[31m\n<b>.json")
    left_out = left_out_table(not_of_the_grid([name]))
    write_table(left_out, tmp_path / "t.csv", tmp_path / "t.parquet")
    assert left_out["case"].tolist() == [r"\udcff\x1b[31m <b>"]
    text = to_markdown(content_from(cases_table([]), stages_table([]), details_table([]), left_out))
    assert "&lt;b&gt;" in text
    assert not ACTIVE.search(text)


def test_a_dollar_is_no_formula_and_markup_is_no_markup_in_pictures(tmp_path: Path) -> None:
    traces = []
    for name, offload in (("a", "none"), ("b", "model")):
        case = full_case(name, offload=offload)
        environment = GPU | {"gpu": GPU["gpu"] | {"name": r"$\frac{1}{$ <b>&amp;</b>"}}
        trace = trace_of(records([2.0] * 50, environment=environment, case=case, peak_bytes=10**10), case=case)
        traces += collect([write(tmp_path, trace)], None, LIMITS)[0]
    save({"settings": time_memory(cases_table(traces), 2)}, None, tmp_path)
    text = "".join(ElementTree.parse(tmp_path / "settings.svg").getroot().itertext())
    assert r"GPU $\frac{1}{$ <b>&amp;</b>" in text


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"[" * 1_000_000, "nests too deep"),
        (b'{"a":' * 100_000, "nests too deep"),
        (b"{" * 1_000_000, "not valid JSON"),
        (b'{"schema_version": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"schema_version": "\xed\xa0\x80"}', "not valid JSON"),
        (b'{"schema_version": "\\ud800"}', "surrogates not allowed"),
        (b'{"schema_version": "\\u001b\\u202e' + b"x" * 100_000 + b'"}', r"'\x1b\u202exxx"),
    ],
    ids=["lists", "objects", "braces", "digits", "raw surrogate", "surrogate", "controls"],
)
def test_a_hostile_file_is_one_line_of_what_is_left_out(tmp_path: Path, data: bytes, part: str) -> None:
    (tmp_path / "full.json").write_bytes(data)
    assert part in refused(lambda: reader.read_trace(tmp_path / "full.json"))


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e300", "9" * 30, "-" + "9" * 30])
@pytest.mark.parametrize("place", ["seed", "machine"])
def test_a_number_that_no_table_can_hold_is_refused(tmp_path: Path, place: str, number: str) -> None:
    file = write(tmp_path, a_trace())
    text, count = re.subn(rf'("{place}": ?)[0-9.]+', rf"\g<1>{number}", file.read_text("utf-8"), count=1)
    assert count == 1
    file.write_text(text, "utf-8")
    assert "sha256" not in refused(lambda: reader.read_trace(file))


def test_a_compressed_bomb_is_not_unpacked_beyond_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MOST_BYTES", 10_000_000)
    bomb = tmp_path / "full.json.gz"
    with gzip.open(bomb, "wb") as file:
        for _ in range(100):
            file.write(b" " * 1_000_000)
    tracemalloc.start()
    assert "more than 0.01 GB" in refused(lambda: reader.read_trace(bomb))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 40_000_000


def test_a_csv_holds_no_formula_and_the_parquet_file_holds_the_text(tmp_path: Path) -> None:
    prompts = ["=HYPERLINK(A1)", "+1", "-1", "@x", "  =1", "\t=1", "\uff1d1", "a=1", CONTROLS, "x" * 40_000]
    table = pd.DataFrame({"case": pd.array(prompts, "string"), "n": pd.array([-1.5] * len(prompts), "Float64")})
    write_table(table, tmp_path / "t.csv", tmp_path / "t.parquet")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        cells = [row["case"] for row in csv.DictReader(file)]
    assert cells[:8] == ["'=HYPERLINK(A1)", "'+1", "'-1", "'@x", "'  =1", "'\t=1", "'\uff1d1", "a=1"]
    assert cells[8] == visible(CONTROLS)
    assert cells[9].endswith("x… (the first 30,000 of 40,000 characters)")
    assert "-1.5" in (tmp_path / "t.csv").read_text("utf-8")
    assert pd.read_parquet(tmp_path / "t.parquet")["case"].tolist() == prompts


def test_the_page_runs_its_own_script_and_no_other(tmp_path: Path) -> None:
    trace = a_trace()
    made = everything_of(write(tmp_path, trace))["report.html"]
    (script,) = re.findall(r"<script>(.*?)</script>", made, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in made
    assert not re.search(r"\son\w+=", re.sub(r"<script>.*?</script>", "", made, flags=re.S))


def test_no_rule_lets_a_name_out_of_its_folder() -> None:
    text = (ROOT / "workflow/rules/common.smk").read_text("utf-8")
    patterns = dict(re.findall(r'^    (case|machine)="(.*)",$', text, re.M))
    assert set(patterns) == {"case", "machine"}
    for pattern in patterns.values():
        for name in ("../x", "a/b", "..", ".x", "", "a b", "a\n", "$(x)", "<b>"):
            assert not re.fullmatch(pattern, name)
