"""Prompts and traces are data: they run nothing, lead nowhere, and hide nothing."""

import base64
import csv
import hashlib
import json
import os
import re
from functools import reduce
from html.parser import HTMLParser
from operator import getitem
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from conftest import ROOT
from hostile import ACTIVE, CONTROLS, MARKUP, paths_in, refused
from reports import case_trace, full_case, made_tables, settings_of, table_of_findings, view
from traces import GPU, LIMITS, Outcome, gpu_with, records, trace_of, write
from wanbench.analysis.collect import collect, not_of_the_grid
from wanbench.analysis.tables import excluded_table, records_by_case, write_table
from wanbench.plots.bars import stage_times
from wanbench.plots.picture import save
from wanbench.plots.pictures import draw_case
from wanbench.plots.time_memory import time_memory
from wanbench.report.grid_outcome import errors_of
from wanbench.report.page import to_page
from wanbench.report.render import rendered
from wanbench.trace import reader
from wanbench.trace.writer import write_trace
from wanbench.util.text import visible


def test_text_that_acts_or_hides_is_shown_as_escapes_and_other_text_as_it_is() -> None:
    assert visible(CONTROLS) == r"a\x00b\x1b[31mc\x9bd\u202ee\u2066f\x7fg\u2028h"
    assert visible("\ud800\U000e0041") == r"\ud800\U000e0041"
    ordinary = "色调艳丽,\u3000过曝。 Zürich\u00a0\n\t👩\u200d🚀 \U0001f600"
    assert visible(ordinary) == ordinary


def test_text_of_a_trace_stays_the_same_and_its_file_shows_what_is_hidden(tmp_path: Path) -> None:
    trace = {"prompt": CONTROLS + "色\U000e0041", "traceEvents": [{"name": CONTROLS}]}
    write_trace(tmp_path / "t.json", trace)
    text = (tmp_path / "t.json").read_text("utf-8")
    assert json.loads(text).items() >= trace.items()
    assert not ACTIVE.search(text)
    assert "色" in text


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
    (trace,), _ = collect([file], None, LIMITS)
    tables, settings = made_tables(trace), settings_of(trace)
    written = {"cases": tables.cases, "stages": tables.stages, "details": tables.details, "settings": settings}
    written |= {"excluded": excluded_table([]), "findings": table_of_findings(trace)}
    for name, table in written.items():
        write_table(table, folder / f"{name}.csv", folder / f"{name}.parquet")
    (folder / "report.md").write_text(rendered("report.md.j2", view=view(trace)), "utf-8")
    (folder / "report.html").write_text(to_page(view(trace), {}), "utf-8")
    (folder / "terminal").write_text("\n".join(errors_of(tables.cases, written["excluded"], "grid.yaml")), "utf-8")
    ((case,),), (stages,) = records_by_case(tables.cases).values(), records_by_case(tables.stages).values()
    draw_case(case, stages, file, folder)
    save({"times": stage_times(tables.cases, tables.stages), "settings": time_memory(settings)}, folder)
    for picture in folder.rglob("*.svg"):
        ElementTree.parse(picture)
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".parquet")
    return {file.name: file.read_text("utf-8") for file in files}


def at(value: Any, path: tuple[Any, ...]) -> Any:
    return reduce(getitem, path, value)


def test_no_text_of_a_trace_is_anything_but_text_wherever_it_is_shown(tmp_path: Path) -> None:
    """Each alone: where it cannot be a name or a setting the trace is refused, in one line."""
    trace = a_trace()
    paths = {}
    for path in paths_in(trace):
        if isinstance(at(trace, path), str):
            event = trace["traceEvents"][path[1]] if path[0] == "traceEvents" else {}
            # One event for all of its kind.
            paths[(event["ph"], event.get("cat"), *path[2:]) if event else path] = path
    accepted = []
    for path in paths.values():
        for hostile in (MARKUP, CONTROLS, f"../../{MARKUP}"):
            altered = json.loads(json.dumps(trace))
            at(altered, path[:-1])[path[-1]] = hostile
            file = tmp_path / "full.json"
            write_trace(file, altered)
            _, excluded = collect([file], None, LIMITS)
            for item in excluded:
                assert "\n" not in item.reason
                assert not ACTIVE.search(item.reason)
            accepted += [] if excluded else [path]
    shown = {("case", "prompt"), ("case", "image"), ("error", "message"), ("environment", "gpu_telemetry", "error")}
    assert shown <= set(accepted)
    # Not another file either: pages have links to the files of a case.
    assert not {("case", "name"), ("case", "model"), ("git_commit",), ("started_at",), ("status",)} & set(accepted)
    for hostile in (MARKUP, CONTROLS):
        altered = json.loads(json.dumps(trace))
        for path in accepted:
            # A GPU and a processor have names in ASCII.
            label = path[0] == "environment" and path[-1] != "error"
            at(altered, path[:-1])[path[-1]] = MARKUP.replace("`", "") if label else hostile
        made = everything_of(write(tmp_path, altered))
        for name, text in made.items():
            assert not ACTIVE.search(text), name
        # A host of Markdown that lets HTML through.
        as_html = MarkdownIt("commonmark", {"html": True}).enable("table").render(made["report.md"])
        for html, own in ((as_html, []), (made["report.html"], ["script"])):
            assert elements_that_act(html) == own
        for name, text in made.items():
            assert not name.endswith(".svg") or "<script" not in text.lower()
        (script,) = re.findall(r"<script>(.*?)</script>", made["report.html"], re.S)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'\"" in made["report.html"]


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


def test_a_file_of_any_name_among_the_traces_is_named_and_breaks_nothing(tmp_path: Path) -> None:
    name = os.fsdecode(b"results/traces/\xff\x1b[31m\n<b>.json")
    items = not_of_the_grid([name])
    assert excluded_table(items)["case"].tolist() == [r"\udcff\x1b[31m <b>"]
    write_table(excluded_table(items), tmp_path / "t.csv", tmp_path / "t.parquet")
    text = rendered("report.md.j2", view=view(excluded=items))
    assert "&lt;b&gt;" in text
    (line,) = errors_of(made_tables().cases, excluded_table(items), "grid.yaml")
    assert not ACTIVE.search(text + line)


def test_a_dollar_is_no_formula_and_markup_is_no_markup_in_pictures(tmp_path: Path) -> None:
    gpu = gpu_with(name=r"$\frac{1}{$ <b>&amp;</b>")
    cases = [full_case(name, offload=offload) for name, offload in (("a", "none"), ("b", "model"))]
    traces = [case_trace(tmp_path, case, gpu=gpu, peak_bytes=10**10) for case in cases]
    save({"settings": time_memory(settings_of(*traces))}, tmp_path)
    text = "".join(ElementTree.parse(tmp_path / "settings.svg").getroot().itertext())
    assert r"$\frac{1}{$ <b>&amp;</b>" in text


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"[" * 1_000_000, "not valid JSON: depth limit exceeded"),
        (b'{"schema_version": ' + b"[" * 1020 + b"]" * 1020 + b"}", "full.json: "),
        (b'{"schema_version": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"schema_version": "\\ud800"}', "no low surrogate in string"),
        (b'{"schema_version": "\\u001b\\u202e' + b"x" * 100_000 + b'"}', r"'\x1b\u202exxx"),
    ],
    ids=["lists", "deep value", "digits", "surrogate", "controls"],
)
def test_a_hostile_file_is_one_line_of_what_is_excluded(tmp_path: Path, data: bytes, part: str) -> None:
    (tmp_path / "full.json").write_bytes(data)
    assert part in refused(lambda: reader.read_trace(tmp_path / "full.json"))


def test_a_csv_holds_no_formula_and_the_parquet_file_holds_the_text(tmp_path: Path) -> None:
    prompts = ["=HYPERLINK(A1)", "+1", "-1", "@x", "  =1", "\t=1", "\uff1d1", "a=1", CONTROLS, "x" * 40_000]
    table = pd.DataFrame({"case": pd.array(prompts, "string"), "n": pd.array([-1.5] * len(prompts), "Float64")})
    write_table(table, tmp_path / "t.csv", tmp_path / "t.parquet")
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = [row["case"] for row in csv.DictReader(file)]
    assert cells[:8] == ["'=HYPERLINK(A1)", "'+1", "'-1", "'@x", "'  =1", "'\t=1", "'\uff1d1", "a=1"]
    assert cells[8] == visible(CONTROLS)
    assert cells[9].endswith("x… (the first 30,000 of 40,000 characters)")
    assert "-1.5" in (tmp_path / "t.csv").read_text("utf-8")
    assert pd.read_parquet(tmp_path / "t.parquet")["case"].tolist() == prompts


def test_no_rule_lets_a_name_out_of_its_folder() -> None:
    text = (ROOT / "workflow/rules/inputs.smk").read_text("utf-8")
    patterns = dict(re.findall(r'^    (case|folder)="(.*)",$', text, re.M))
    assert set(patterns) == {"case", "folder"}
    for pattern in patterns.values():
        for name in ("../x", "a/b", "..", ".x", "", "a b", "a\n", "$(x)", "<b>"):
            assert not re.fullmatch(pattern, name)


@pytest.mark.parametrize(("text", "mark"), [("plain", b""), ("\u00fcber", b"\xef\xbb\xbf")])
def test_a_table_beyond_ascii_begins_with_a_byte_order_mark(tmp_path: Path, text: str, mark: bytes) -> None:
    write_table(pd.DataFrame({"case": pd.array([text], dtype="string")}), tmp_path / "t.csv", tmp_path / "t.parquet")
    assert (tmp_path / "t.csv").read_bytes().startswith(mark + b"case")
