"""The report as Markdown, in the form of the reference report: its headings, tables, columns and order."""

from wanbench.report.content import TITLE, Content


def to_markdown(content: Content) -> str:
    """The text of the file."""
    parts = [f"# {TITLE}", content.about, content.summary, *content.overview, "# Detailed Breakdown"]
    for case in content.cases:
        parts += [*case.paragraphs, "---"]
    return "\n\n".join([*parts, *content.how_to_read]) + "\n"
