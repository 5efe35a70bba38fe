"""The report as Markdown, in the form of the reference report: its headings, tables, columns and order."""

from collections.abc import Sequence

import pandas as pd

from wanbench.report.case_section import case_section
from wanbench.report.choices import which_settings
from wanbench.report.findings.registry import findings_by_case
from wanbench.report.findings.thresholds import Thresholds
from wanbench.report.header import header
from wanbench.report.how_to_read import how_to_read
from wanbench.report.published import Published, against_published
from wanbench.report.summary import left_out_section, summary
from wanbench.report.tables import records_by_case


def render(
    cases: pd.DataFrame,
    stages: pd.DataFrame,
    details: pd.DataFrame,
    left_out: pd.DataFrame,
    thresholds: Thresholds,
    published: Sequence[Published] = (),
) -> str:
    """The whole report.

    Args:
        cases, stages, details, left_out: the tables of `wanbench.report.tables`.
        thresholds: when findings speak.
        published: what others have published, to set beside the cases.
    """
    stages_of, details_of = records_by_case(stages), records_by_case(details)
    parts = ["# Wan2.2 Benchmark Report", header(cases, left_out), summary(cases)]
    if len(left_out):
        parts.append(left_out_section(left_out))
    comparisons = [against_published(cases, published), which_settings(cases)]
    parts += [section for section in comparisons if section is not None]
    parts.append("# Detailed Breakdown")
    findings = findings_by_case(cases, stages, thresholds)
    for _, case in cases.iterrows():
        name = case["case"]
        parts += case_section(case, stages_of.get(name, []), details_of.get(name, []), findings[name])
    compared = [section.partition("\n")[0].removeprefix("## ") for section in comparisons if section is not None]
    parts += how_to_read([finding for of_case in findings.values() for finding in of_case], compared)
    return "\n\n".join(parts) + "\n"
