"""The report as one HTML file that needs nothing else: no network, no other file."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wanbench.report.content import TITLE, Content
from wanbench.report.rendering import case_anchor, to_html

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# A page of many cases must still open: beyond these a trace or a picture is named instead of embedded.
MAX_EMBEDDED_TRACES_BYTES = 20_000_000
MAX_EMBEDDED_PICTURES_BYTES = 20_000_000


@dataclass(frozen=True)
class PagePicture:
    """A picture of one case, or of all where `case` is None.

    Attributes:
        uri: the picture as a data URI; None where it is not embedded.
        caption: empty where there was nothing to draw, which `alt` explains by itself.
        file: where the picture lies beside the page.
        tall: higher than wide, so that it fills a page of upright paper.
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
    script = _TEMPLATES.loader.get_source(_TEMPLATES, "report.js")[0]
    embedded, uris = _embedded(pictures), _trace_uris([traces[name] for name in names])
    cases = [
        {
            "name": case.name,
            "anchor": case_anchor(case.name),
            "html": to_html(case.paragraphs, within=case_anchor(case.name)),
            "pictures": [picture for picture in embedded if picture.case == case.name],
            "trace_uri": uri,
            "trace_file": f"traces/{traces[case.name].name}",
        }
        for case, uri in zip(content.cases, uris)
    ]
    return _TEMPLATES.get_template("report.html.j2").render(
        title=TITLE,
        about=to_html([content.about]),
        summary=to_html([content.summary], linked=names),
        overview=to_html(content.overview, linked=names),
        how_to_read=to_html(content.how_to_read),
        pictures=[picture for picture in embedded if picture.case is None],
        room_mb=MAX_EMBEDDED_PICTURES_BYTES // 1_000_000,
        cases=cases,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def read_pictures(files: Iterable[Path]) -> list[PagePicture]:
    """The pictures that are in files of the kind `pictures.json`."""
    return [
        PagePicture(
            case=entry["case"],
            uri=f"data:image/png;base64,{entry['png_base64']}",
            alt=entry["alt"],
            caption=entry["caption"],
            file=f"plots/cases/{entry['case']}/{entry['file']}.png" if entry["case"] else f"plots/{entry['file']}.png",
            tall=entry["tall"],
        )
        for file in files
        for entry in json.loads(file.read_text("utf-8"))
    ]


def _embedded(pictures: Iterable[PagePicture]) -> list[PagePicture]:
    """The pictures, without their data from where there is no room on."""
    shown, room_bytes = [], MAX_EMBEDDED_PICTURES_BYTES
    for picture in pictures:
        room_bytes -= len(picture.uri or "") if picture.caption else 0
        shown.append(picture if room_bytes >= 0 else replace(picture, uri=None))
    return shown


def _trace_uris(files: Iterable[Path]) -> list[str | None]:
    """The traces, compressed, as data URIs; None from where there is no room on."""
    uris, room_bytes = [], MAX_EMBEDDED_TRACES_BYTES
    for file in files:
        data = file.read_bytes() if room_bytes >= 0 else b""
        # Without a time in it, so that the same trace gives the same page.
        packed = data if file.suffix == ".gz" else gzip.compress(data, mtime=0)
        room_bytes -= len(packed)
        uri = f"data:application/gzip;base64,{base64.b64encode(packed).decode('ascii')}"
        uris.append(uri if room_bytes >= 0 else None)
    return uris
