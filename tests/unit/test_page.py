"""The HTML page: one file, the same content as the Markdown, and nothing in it that was not meant to be there."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from example_cases import tiny_case
from reports import case_trace, content_from, full_case, read_back
from traces import records
from wanbench.analysis.tables import cases_table, details_table, excluded_table, stages_table
from wanbench.report import page
from wanbench.report.content import Content
from wanbench.report.page import PagePicture, read_pictures, to_page
from wanbench.report.rendering import to_html
from wanbench.trace.reader import Trace


def content(*traces: Trace) -> Content:
    tables = cases_table(traces), stages_table(traces), details_table(traces), excluded_table([])
    return content_from(*tables)


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return read_back(tmp_path, records([1.0, 1.0, 1.0]))


def made(trace: Trace, folder: Path, pictures: list[PagePicture] | None = None) -> str:
    return to_page(content(trace), pictures or [], {"tiny": folder / "tiny.json"})


class _Text(HTMLParser):
    """Visible text of a page, and the targets of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._hidden += tag in ("script", "style")
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values[key] or "" for key in ("href", "src") if key in values]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def parsed(html: str) -> _Text:
    reader = _Text()
    reader.feed(html)
    return reader


def test_the_page_says_every_word_and_figure_that_the_markdown_says(trace: Trace, tmp_path: Path) -> None:
    report = content(trace)
    shown = " ".join(parsed(made(trace, tmp_path)).text)
    for paragraph in (report.about, report.summary, *report.overview, *report.cases[0].paragraphs, *report.how_to_read):
        for word in re.findall(r"[\w.%]+", re.sub(r"\\", "", paragraph)):
            assert word in shown, word


def test_nothing_is_fetched_and_every_link_has_its_target(trace: Trace, tmp_path: Path) -> None:
    picture = PagePicture("tiny", "data:image/png;base64,AA==", "alt", "caption", "plots/tiny/steps.png")
    html = made(trace, tmp_path, [picture])
    reader = parsed(html)
    assert all(link.startswith(("#", "data:")) for link in reader.links)
    assert not re.search(r"https?://|@import|url\(", html)
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    assert "#case-tiny" in reader.links
    packed = next(link for link in reader.links if link.startswith("data:application/gzip"))
    assert gzip.decompress(base64.b64decode(packed.split(",")[1])) == (tmp_path / "tiny.json").read_bytes()
    assert made(trace, tmp_path, [picture]) == html


def test_no_two_parts_of_the_page_have_one_id(tmp_path: Path) -> None:
    names = ("tiny", "tiny-details")
    traces = [case_trace(tmp_path, full_case(name), 1.0) for name in names]
    ids = parsed(to_page(content(*traces), [], {name: tmp_path / f"{name}.json" for name in names})).ids
    assert "case-tiny:stage-breakdown" in ids
    assert len(ids) == len(set(ids))


def test_a_trace_that_is_too_large_is_named_instead(
    trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_EMBEDDED_TRACES_BYTES", 10)
    html = made(trace, tmp_path)
    assert "data:application/gzip" not in html
    assert "<code>traces/tiny.json</code>" in html


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    prompt = "<script>alert(1)</script> | [a](http://x) `b` **c**"
    case = tiny_case(prompt=prompt)
    trace = read_back(tmp_path, records([1.0], case=case), case=case)
    html = made(trace, tmp_path)
    assert "<script>alert" not in html
    reader = parsed(html)
    assert prompt in " ".join("".join(reader.text).split())
    assert not any("http://x" in link for link in reader.links)


def test_pictures_stand_with_their_case_and_have_an_alternative_text(trace: Trace, tmp_path: Path) -> None:
    picture = base64.b64encode(b"png").decode()
    entry = {"file": "steps", "case": "tiny", "alt": 'Steps of "1 s"', "caption": "Time of each step"}
    entry |= {"png_base64": picture, "tall": True}
    (tmp_path / "pictures.json").write_text(json.dumps([entry]))
    pictures = read_pictures([tmp_path / "pictures.json"])
    assert [shown.file for shown in pictures] == ["plots/cases/tiny/steps.png"]
    article = made(trace, tmp_path, pictures).split("<article")[1]
    assert 'class="tall"' in article
    assert f'src="data:image/png;base64,{picture}"' in article
    assert 'alt="Steps of &#34;1 s&#34;"' in article
    assert "<figcaption>Time of each step</figcaption>" in article


def test_what_there_was_nothing_to_draw_of_is_said_once_and_in_text(trace: Trace, tmp_path: Path) -> None:
    said = "Energy by stage: No case has energy figures."
    html = made(trace, tmp_path, [PagePicture(None, "data:image/png;base64,AA==", said, "", "plots/energy.png")])
    assert html.count(said) == 1
    assert "<img" not in html


def test_a_picture_that_there_is_no_room_for_is_named_instead(
    trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_EMBEDDED_PICTURES_BYTES", 40)
    uri = "data:image/png;base64,AA=="
    pictures = [PagePicture("tiny", uri, f"alt {i}", "caption", f"plots/tiny/{i}.png") for i in range(2)]
    html = made(trace, tmp_path, pictures)
    assert html.count("<img") == 1
    assert "<code>plots/tiny/1.png</code>" in html
    assert "alt 1" in html


def test_headings_have_anchors_and_column_heads_a_scope() -> None:
    html = to_html(["### Stage Breakdown", "| A | B |\n|:--|--:|\n| a\\_b | 1 |"])
    assert '<h3 id="stage-breakdown">' in html
    assert html.count('scope="col"') == 2
    assert "a_b" in html


def test_only_the_first_cell_of_a_row_that_names_a_case_is_a_link() -> None:
    table = "| Case | Other |\n|:--|--:|\n| one (lossy) | one |\n| none | one |"
    html = to_html([table], linked=["one"])
    assert html.count("<a ") == 1
    assert '<a href="#case-one">one (lossy)</a>' in html
