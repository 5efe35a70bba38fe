"""What the cases of a report ran on and with: one row a fact."""

import pandas as pd

from wanbench.analysis.mfu import peak_of
from wanbench.analysis.numbers import some
from wanbench.analysis.tables import CaseRow, records
from wanbench.report.render import rendered


def about(cases: pd.DataFrame) -> dict[str, str]:
    """Facts by name, as Markdown; where cases differ, every variant is named with its count."""
    facts = pd.DataFrame([_facts_of(case) for case in records(cases)], dtype=object)
    return {name: _variants(facts[name]) for name in facts if facts[name].notna().any()}


def _facts_of(case: CaseRow) -> dict[str, str | None]:
    """Lines of the template by what stands before their colon; None where nothing follows it."""
    lines = rendered("facts.md.j2", case=case, peak=peak_of(case)).splitlines()
    parts = (line.partition(":") for line in lines if line)
    return {name: text.strip() or None for name, _, text in parts}


def _variants(texts: pd.Series) -> str:
    counts = texts.value_counts()
    if len(counts) == 1 and texts.notna().all():
        return counts.index[0]
    return some([f"{text} ({count} case{'s' if count > 1 else ''})" for text, count in counts.items()], "; ")
