"""The end of the report: why its findings speak, and what its columns mean."""

from collections.abc import Collection, Iterable, Mapping

from wanbench.analysis.numbers import escaped_but_code
from wanbench.findings.basis import Finding
from wanbench.findings.rules import explained
from wanbench.report import columns

_FINDINGS = (
    "Warnings come first (figures or run are in danger), then bottlenecks (what holds the case back), then notes. A "
    "rule whose figures were not measured stays silent. The thresholds are in `config/thresholds.yaml`."
)
_COLUMNS = (
    "`n/a` is what was not measured; 0 is measured, and zero. GB = 1e9 bytes. Names such as `energy_j` are columns of "
    "the tables; docs/tables.md says when each is empty. Measured generations are no warm-up, ran to their end and are "
    "not excluded; generation 0, which is cold, is one only where there is no other."
)
_PICTURES = "They stand in `report.html`, and lie in `plots/` beside it; `snakemake --cores 1` makes both."


def how_to_read(findings: Iterable[Finding], headings: Collection[str]) -> list[str]:
    """Paragraphs for the end of a report; what does not occur in it is not explained.

    Args:
        findings: of all cases.
        headings: of the report's sections that compare cases.
    """
    rules = explained(findings)
    parts = ["# How to read this report", *(["## Findings", _FINDINGS] if rules else [])]
    parts += [part for rule in rules for part in (f"### {rule.name}", escaped_but_code(rule.explanation))]
    parts += ["## Columns", _COLUMNS]
    compared = {f"{heading} columns": of for heading, of in columns.OF_SECTIONS.items() if heading in headings}
    for heading, explanations in (columns.OF_CASES | compared).items():
        parts += [f"### {heading}", _listed(explanations)]
    return [*parts, "## Pictures", _PICTURES, _listed(columns.PICTURES)]


def _listed(explanations: Mapping[str, str]) -> str:
    return "\n".join(f"- **{escaped_but_code(name)}**: {escaped_but_code(text)}" for name, text in explanations.items())
