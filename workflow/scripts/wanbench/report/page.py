"""The report as one HTML file that needs nothing else: no network, no other file."""

import base64
import gzip
import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from wanbench.report.content import TITLE, CaseContent, Content
from wanbench.report.rendering import case_anchor, to_html, to_html_with_case_links

_TEMPLATES = Path(__file__).with_name("templates")
_SCRIPT = _TEMPLATES / "report.js"
_PNG_HEAD_BASE64 = 32  # signs, which hold the 24 bytes up to and with the size of the picture
# A page of many cases must still open: beyond these a trace or a picture is named instead of embedded.
MAX_EMBEDDED_TRACES_BYTES = 20_000_000
MAX_EMBEDDED_PICTURES_BYTES = 20_000_000


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
    """A picture of one case, or of all where `case` is None.

    Attributes:
        uri: the picture as a data URI; None where it is not embedded.
        caption: empty where there was nothing to draw, which `alt` says by itself.
        file: where the picture lies beside the page.
        tall: it fills a page of upright paper.
    """

    case: str | None
    uri: str | None
    alt: str
    caption: str
    file: str
    tall: bool = False


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
    for picture in _embedded(pictures):
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
        room_mb=MAX_EMBEDDED_PICTURES_BYTES // 1_000_000,
        cases=cases,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def read_pictures(files: Iterable[Path]) -> list[PagePicture]:
    """The pictures that are in files of the kind `pictures.json`."""
    return [_page_picture(entry) for file in files for entry in json.loads(file.read_text("utf-8"))]


def _page_picture(entry: Mapping[str, Any]) -> PagePicture:
    folder = "plots" if entry["case"] is None else f"plots/{entry['case']}"
    return PagePicture(
        entry["case"],
        f"data:image/png;base64,{entry['png_base64']}",
        entry["alt"],
        entry["caption"],
        f"{folder}/{entry['file']}.png",
        _is_tall(base64.b64decode(entry["png_base64"][:_PNG_HEAD_BASE64])),
    )


def _is_tall(png_head: bytes) -> bool:
    """Whether a picture is so much higher than wide that it would be tiny on a page that lies across."""
    width, height = struct.unpack(">II", png_head[16:24])
    return height > width


def _embedded(pictures: Iterable[PagePicture]) -> Iterator[PagePicture]:
    """The pictures, without their data from where there is no room on."""
    room_bytes = MAX_EMBEDDED_PICTURES_BYTES
    for picture in pictures:
        room_bytes -= len(picture.uri or "") if picture.caption else 0
        yield picture if room_bytes >= 0 else replace(picture, uri=None)


def _page_case(case: CaseContent, pictures: Sequence[PagePicture], uri: str | None, trace: Path) -> PageCase:
    anchor = case_anchor(case.name)
    html = to_html(case.paragraphs, within=anchor)
    return PageCase(case.name, anchor, html, pictures, uri, f"traces/{trace.name}")


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
