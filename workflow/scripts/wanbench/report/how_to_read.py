"""The end of the report: why its findings speak, and what its columns mean."""

from collections.abc import Collection, Iterable, Mapping

from wanbench.analysis.numbers import escaped_but_code
from wanbench.findings.basis import Finding
from wanbench.findings.rules import explained
from wanbench.plots.picture_help import PICTURES
from wanbench.report import columns

_FINDINGS = (
    "Warnings come first (the figures or the run are in danger), then bottlenecks (what holds the case back), then "
    "notes. A rule whose figures were not measured stays silent. The thresholds, by the names that stand here, are in "
    "`config/thresholds.yaml`."
)
_PICTURES = (
    "They stand in the report's page (`report.html`), and lie in `plots/` beside it, each as an SVG and a PNG. "
    "`snakemake --cores 1` makes both with the report. Where a report is kept without them, as in "
    "`results/reference/MACHINE/`, `snakemake --cores 1 results/reference/MACHINE/report.html` makes them beside it."
)
_COLUMNS = "`n/a` is what was not measured; 0 is measured, and zero. GB = 1e9 bytes."


def how_to_read(findings: Iterable[Finding], headings: Collection[str]) -> list[str]:
    """Paragraphs for the end of a report; what does not occur in it is not explained.

    Args:
        findings: of all cases.
        headings: of the report's sections that compare cases.
    """
    rules = explained(findings)
    parts = ["# How to read this report"]
    if rules:
        parts += ["## Findings", _FINDINGS]
        for rule in rules:
            parts += [f"### {rule.name}", escaped_but_code(rule.explanation)]
    parts += ["## Columns", _COLUMNS]
    compared = {f"{heading} columns": of for heading, of in columns.OF_SECTIONS.items() if heading in headings}
    for heading, explanations in (columns.OF_CASES | compared).items():
        parts += [f"### {heading}", _listed(explanations)]
    return [*parts, "## Pictures", _PICTURES, _listed(PICTURES)]


def _listed(explanations: Mapping[str, str]) -> str:
    return "\n".join(f"- **{escaped_but_code(name)}**: {escaped_but_code(text)}" for name, text in explanations.items())
