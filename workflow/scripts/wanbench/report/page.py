"""The report as one HTML file that needs nothing else: no network, no other file."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from wanbench.report.content import TITLE, CaseContent, Content
from wanbench.report.rendering import case_anchor, to_html, to_html_with_case_links

_TEMPLATES = Path(__file__).with_name("templates")
_SCRIPT = _TEMPLATES / "report.js"
# A page of many cases must still open: beyond this a trace is named instead of embedded.
MAX_EMBEDDED_TRACES_BYTES = 20_000_000


@dataclass(frozen=True)
class PageCase:
    """A case as the template shows it.

    Attributes:
        trace_uri: the compressed trace as a data URI; None where it is not embedded.
        trace_file: where the trace lies beside the page.
    """

    name: str
    anchor: str
    html: str
    pictures: Sequence["PagePicture"]
    trace_uri: str | None
    trace_file: str


@dataclass(frozen=True)
class PagePicture:
    """A picture of one case, or of all where `case` is None."""

    case: str | None
    uri: str
    alt: str
    caption: str


def to_page(content: Content, pictures: Sequence[PagePicture], traces: Mapping[str, Path]) -> str:
    """The text of the file.

    Args:
        pictures: in the order in which they are shown.
        traces: files by case, compressed or not.
    """
    names = [case.name for case in content.cases]
    script = _SCRIPT.read_text("utf-8")
    uris = _trace_uris([traces[name] for name in names])
    of_case: dict[str | None, list[PagePicture]] = {}
    for picture in pictures:
        of_case.setdefault(picture.case, []).append(picture)
    cases = [
        _page_case(case, of_case.get(case.name, []), uris.get(traces[case.name]), traces[case.name])
        for case in content.cases
    ]
    return _template().render(
        title=TITLE,
        about=to_html([content.about]),
        summary=to_html_with_case_links([content.summary], names),
        overview=to_html_with_case_links(content.overview, names),
        how_to_read=to_html(content.how_to_read),
        pictures=of_case.get(None, []),
        cases=cases,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def read_pictures(files: Iterable[Path]) -> list[PagePicture]:
    """The pictures that are in files of the kind `pictures.json`."""
    return [
        PagePicture(entry["case"], f"data:image/png;base64,{entry['png_base64']}", entry["alt"], entry["caption"])
        for file in files
        for entry in json.loads(file.read_text("utf-8"))
    ]


def _page_case(case: CaseContent, pictures: Sequence[PagePicture], uri: str | None, trace: Path) -> PageCase:
    return PageCase(case.name, case_anchor(case.name), to_html(case.paragraphs), pictures, uri, f"traces/{trace.name}")


def _trace_uris(files: Iterable[Path]) -> dict[Path, str]:
    """The traces that there is room for, the first ones first."""
    uris: dict[Path, str] = {}
    room_bytes = MAX_EMBEDDED_TRACES_BYTES
    for file in files:
        packed = _packed(file)
        room_bytes -= len(packed)
        if room_bytes < 0:
            break
        uris[file] = _data_uri("application/gzip", packed)
    return uris


def _packed(trace: Path) -> bytes:
    """The trace, compressed without a time in it, so that the same trace gives the same page."""
    data = trace.read_bytes()
    return data if trace.suffix == ".gz" else gzip.compress(data, mtime=0)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
