"""The report's paragraphs as HTML, with what a page needs beyond Markdown: anchors, header cells, links to cases."""

import re
from collections.abc import Collection, Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

# Without HTML: text of a prompt or an error message stays text.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")

# A cell with more signs than this is text to be read in lines; a shorter one is a name or a figure.
_MOST_UNBROKEN = 16


def case_anchor(name: str) -> str:
    """Anchor of a case's page."""
    return f"case-{name}"


def to_html(paragraphs: Iterable[str], within: str = "", linked: Collection[str] = ()) -> str:
    """Paragraphs of the report; headings get the anchors that hosts of Markdown give them.

    Args:
        within: anchor of the part of the page that the paragraphs are of, where other parts have the same headings.
        linked: names of cases: where one stands in the first cell of a row, it is a link to the case.
    """
    tokens = _MARKDOWN.parse("\n\n".join(paragraphs))
    for before, token, following in zip([None, *tokens], tokens, tokens[1:]):
        if token.type == "heading_open":
            # Anchors of headings have no colon, so that none can be that of a case.
            token.attrSet("id", f"{within}:{_anchor(following)}" if within else _anchor(following))
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "td_open":
            if " " in following.content and len(following.content) > _MOST_UNBROKEN:
                token.attrSet("class", "prose")
            name = following.content.removesuffix(" (lossy)")
            if before is not None and before.type == "tr_open" and name in linked:
                opening = Token("link_open", "a", 1, attrs={"href": f"#{case_anchor(name)}"})
                following.children = [opening, *(following.children or []), Token("link_close", "a", -1)]
    return _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})


def _anchor(heading: Token) -> str:
    text = "".join(child.content for child in heading.children or [])
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
