"""The HTML page: one file, the same content as the Markdown, and nothing in it that was not meant to be there."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from markupsafe import Markup

from reports import case_trace, full_case, read_back, report, view
from traces import records
from wanbench.plots.picture import SavedPicture
from wanbench.report.page import to_page
from wanbench.trace.reader import Trace

PICTURE = SavedPicture('<svg id="a">1 % &amp; #2</svg>', 'Steps of "1 s"', "Time of each step")


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return read_back(tmp_path, records([1.0, 1.0, 1.0]))


def text_of(html: str) -> str:
    return Markup(re.sub(r"(?s)<(script|style)>.*?</\1>", "", html)).striptags()


def values(html: str, *attributes: str) -> list[str]:
    """In the order of the page."""
    return [unescape(value) for value in re.findall(rf'\s(?:{"|".join(attributes)})="([^"]*)"', html)]


def test_the_page_says_every_word_and_figure_that_the_markdown_says(trace: Trace, tmp_path: Path) -> None:
    real = [case_trace(tmp_path, full_case(name, steps=3, offload=name)) for name in ("none", "model")]
    for traces in ([trace], real):
        shown = text_of(to_page(view(*traces), {}))
        markdown = re.sub(r"&#\d+;|^#.*", "", report(*traces).replace("\\", ""), flags=re.M)
        for word in re.findall(r"[\w.%]+", markdown.replace("Summary", "")):
            assert word in shown, word


def test_nothing_is_fetched_and_every_link_has_its_target(trace: Trace) -> None:
    html = to_page(view(trace), {"tiny": [PICTURE]})
    links = values(html, "href", "src")
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"https?://|@import|url\(", html)
    assert {link[1:] for link in links if link.startswith("#")} <= set(values(html, "id"))
    assert "#case-tiny" in links
    assert to_page(view(trace), {"tiny": [PICTURE]}) == html


def test_no_two_parts_of_the_page_have_one_id(tmp_path: Path) -> None:
    traces = [case_trace(tmp_path, full_case(name), 1.0) for name in ("tiny", "tiny-details")]
    ids = values(to_page(view(*traces), {}), "id")
    assert "case-tiny:stage-breakdown" in ids
    assert len(ids) == len(set(ids))


def test_a_picture_stands_with_its_case_as_it_was_and_what_there_was_nothing_to_draw_of_is_said(trace: Trace) -> None:
    article = to_page(view(trace), {"tiny": [PICTURE]}).split("<article")[1]
    (uri,) = values(article, "src")
    assert unquote(uri) == f"data:image/svg+xml,{PICTURE.svg}"
    assert 'alt="Steps of &#34;1 s&#34;"' in article
    assert "<figcaption>Time of each step</figcaption>" in article
    html = to_page(view(trace), {None: [SavedPicture("<svg/>", "No case has energy figures.", "")]})
    assert html.count("No case has energy figures.") == 1
    assert "<img" not in html
