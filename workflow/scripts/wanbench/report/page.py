"""The report as one HTML file that needs nothing else: no network, no other file."""

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from wanbench.analysis.tables import TableRows
from wanbench.plots.picture import SavedPicture
from wanbench.report.case_view import longest_kernels
from wanbench.report.render import ENVIRONMENT, TEMPLATES, rendered

# Without HTML: text of a prompt or an error message stays text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# A cell with more signs than this is text to be read in lines; a shorter one is a name or a figure.
_MOST_UNBROKEN = 16


def data_uri(svg: str) -> Markup:
    """An SVG as an image, so that its ids are its own; escaped for an attribute and a URI, and no more than that."""
    escaped = {"%": "%25", "#": "%23", '"': "%22", "&": "&amp;", "\n": " "}
    return Markup("data:image/svg+xml," + svg.translate(str.maketrans(escaped)))


def to_page(
    view: Mapping[str, Any],
    pictures: Mapping[str | None, Sequence[SavedPicture]],
    longest: Mapping[str, TableRows] | None = None,
) -> str:
    """The text of the file, with pictures and rows of the longest kernels by case; under None, of all cases."""
    script = (TEMPLATES / "report.js").read_text("utf-8")
    names = [case["row"]["case"] for case in view["cases"]]
    parts = ("summary", "settings", "published", "appendix")
    texts = {name: to_html(rendered(f"{name}.md.j2", view=view), linked=names) for name in parts}
    page = ENVIRONMENT.overlay(autoescape=True).get_template("report.html.j2")
    return page.render(
        view=view,
        answer=[_card(row) for row in view["answer"]],
        answer_lines=to_html(rendered("answer_lines.md.j2", view=view)),
        texts=texts,
        pictures=pictures.get(None, []),
        data_uri=data_uri,
        cases=[
            {
                "name": case["row"]["case"],
                "html": to_html(rendered("case.md.j2", case=case), within=case_anchor(case["row"]["case"])),
                "longest": to_html(longest_kernels((longest or {}).get(case["row"]["case"], []))),
                "pictures": pictures.get(case["row"]["case"], []),
            }
            for case in view["cases"]
        ],
        anchor=case_anchor,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def _card(row: Mapping[str, str]) -> list[tuple[str, str]]:
    """Labels and texts of a row of the answer; what two labels have in common stands once."""
    card: list[tuple[str, str]] = []
    for label, text in row.items():
        if card and text == card[-1][1]:
            card[-1] = f"{card[-1][0]}, {label[0].lower()}{label[1:]}", text
        elif text:
            card.append((label, text))
    return [(label, to_html(text).strip()) for label, text in card]


def case_anchor(name: str) -> str:
    return f"case-{name}"


def to_html(markdown: str, within: str = "", linked: Collection[str] = ()) -> str:
    """Markdown of the report; headings get the anchors that hosts of Markdown give them.

    Args:
        within: anchor of the part of the page that the text is of, where other parts have the same headings.
        linked: names of cases: where one stands in the first cell of a row, it is a link to the case.
    """
    tokens = _MARKDOWN.parse(markdown)
    for before, token, following in zip([None, *tokens], tokens, tokens[1:]):
        if token.type == "heading_open":
            # Anchors of headings have no colon, so that none can be that of a case.
            token.attrSet("id", f"{within}:{_anchor(following)}" if within else _anchor(following))
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open":
            if " " in following.content and len(following.content) > _MOST_UNBROKEN:
                token.attrSet("class", "prose")
            if before.type == "tr_open" and following.content in linked:
                opening = Token("link_open", "a", 1, attrs={"href": f"#{case_anchor(following.content)}"})
                following.children = [opening, *following.children, Token("link_close", "a", -1)]
    return _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})


def _anchor(heading: Token) -> str:
    text = "".join(child.content for child in heading.children)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
