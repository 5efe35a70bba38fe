"""The content of the report, in order, whichever file it is written to.

Paragraphs are Markdown: the Markdown report joins them, and the page renders the same ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from wanbench.analysis.case_rows import case_rows
from wanbench.analysis.gpu_letters import gpu_letters
from wanbench.analysis.tables import records_by_case
from wanbench.findings.basis import Finding
from wanbench.findings.thresholds import Thresholds
from wanbench.report import differing
from wanbench.report.case_section import case_section
from wanbench.report.header import header
from wanbench.report.how_to_read import how_to_read
from wanbench.report.published import against_published
from wanbench.report.summary import excluded_section, summary
from wanbench.report.which_settings import which_settings

TITLE = "Wan2.2 Benchmark Report"


@dataclass(frozen=True)
class CaseContent:
    """A case, and the paragraphs about it, of which the first is its heading."""

    name: str
    paragraphs: list[str]


@dataclass(frozen=True)
class Content:
    """The whole report.

    Attributes:
        about: on what, with what and when the cases ran.
        summary: the table of all cases.
        overview: sections about several cases.
        cases: in the order of the summary.
        how_to_read: what columns and findings mean.
    """

    about: str
    summary: str
    overview: list[str]
    cases: list[CaseContent]
    how_to_read: list[str]


def content_of(
    cases: pd.DataFrame,
    stages: pd.DataFrame,
    details: pd.DataFrame,
    excluded: pd.DataFrame,
    findings: Mapping[str, Sequence[Finding]],
    thresholds: Thresholds,
    published: pd.DataFrame | None = None,
) -> Content:
    """The content of a report.

    Args:
        cases, stages, details, excluded: the tables of `wanbench.analysis.tables`.
        findings: by case; none for a case that is not there.
        thresholds: those that the findings were made with.
        published: what `read_published` gives, to set beside the cases.
    """
    stages_of, details_of, letters = records_by_case(stages), records_by_case(details), gpu_letters(cases)
    choices = which_settings(cases, thresholds.no_effect_memory_pct, thresholds.alike_generation_pct)
    sections = {
        "Which settings to use": choices,
        # A table of choices has what they differ in.
        differing.HEADING: None if choices else differing.settings_that_differ(cases),
        "Against published figures": None if published is None else against_published(cases, published),
    }
    compared = {heading: section for heading, section in sections.items() if section is not None}
    about_cases = []
    for case in case_rows(cases):
        name, letter = case["case"], letters.get(case["gpu_uuid"]) if pd.notna(case["gpu_uuid"]) else None
        of_case = stages_of.get(name, []), details_of.get(name, []), findings.get(name, [])
        about_cases.append(CaseContent(name, case_section(case, *of_case, letter)))
    return Content(
        about=header(cases, excluded, findings),
        summary=summary(cases, findings),
        overview=([excluded_section(excluded)] if len(excluded) else []) + list(compared.values()),
        cases=about_cases,
        how_to_read=how_to_read([finding for of_case in findings.values() for finding in of_case], list(compared)),
    )
