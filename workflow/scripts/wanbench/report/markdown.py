"""The report as Markdown, in the form of the reference report: its headings, tables, columns and order."""

from collections.abc import Sequence

import pandas as pd

from wanbench.report.case_section import case_section
from wanbench.report.choices import which_settings
from wanbench.report.header import header
from wanbench.report.published import Published, against_published
from wanbench.report.summary import left_out_section, summary
from wanbench.report.tables import records_by_case


def render(
    cases: pd.DataFrame,
    stages: pd.DataFrame,
    details: pd.DataFrame,
    left_out: pd.DataFrame,
    published: Sequence[Published] = (),
) -> str:
    """The whole report.

    Args:
        cases, stages, details, left_out: the tables of `wanbench.report.tables`.
        published: what others have published, to set beside the cases.
    """
    stages_of, details_of = records_by_case(stages), records_by_case(details)
    parts = ["# Wan2.2 Benchmark Report", header(cases, left_out), summary(cases)]
    if len(left_out):
        parts.append(left_out_section(left_out))
    comparisons = [against_published(cases, published), which_settings(cases)]
    parts += [section for section in comparisons if section is not None]
    parts.append("# Detailed Breakdown")
    for _, case in cases.iterrows():
        name = case["case"]
        parts += case_section(case, stages_of.get(name, []), details_of.get(name, []))
    return "\n\n".join(parts) + "\n"
