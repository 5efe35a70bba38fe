"""docs/tables.md explains every column of every table, and no other."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT
from wanbench.analysis.tables import cases_table, details_table, excluded_table, stages_table
from wanbench.compare.change_verdict import Comparison
from wanbench.compare.export import as_table
from wanbench.findings.findings_table import findings_table

# Made of nothing, a table has its columns and their types all the same.
TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "cases": lambda: cases_table([]),
    "stages": lambda: stages_table([]),
    "details": lambda: details_table([]),
    "excluded": lambda: excluded_table([]),
    "findings": lambda: findings_table({}),
    "comparison": lambda: as_table(Comparison("", (), (), (), (), ())),
}
KEPT = sorted((ROOT / "results/reference").glob("*/tables/*.csv"))


def sections() -> dict[str, str]:
    """Text of the page by the heading that it stands under."""
    _, *parts = re.split(r"^## (.+)$", (ROOT / "docs/tables.md").read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2]))


def explained(section: str) -> list[tuple[str, str, str]]:
    """Column, type and meaning of each line of a section's tables."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return [row for row in rows if row not in (("Column", "Type", "Meaning"), ("---", "---", "---"))]


def test_each_table_has_a_section() -> None:
    assert list(sections()) == ["How to read a table", *TABLES]


@pytest.mark.parametrize("table", TABLES)
def test_each_column_is_explained_once_with_its_type(table: str) -> None:
    columns = sorted((f"`{column}`", str(dtype)) for column, dtype in TABLES[table]().dtypes.items())
    assert sorted((column, dtype) for column, dtype, _ in explained(sections()[table])) == columns


@pytest.mark.parametrize("table", TABLES)
def test_each_meaning_is_a_sentence(table: str) -> None:
    assert [row for row in explained(sections()[table]) if not row[2].endswith(".")] == []


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_kept_tables_are_empty_only_where_it_is_said(file: Path) -> None:
    kept = pd.read_csv(file)
    never_empty = [
        column.strip("`") for column, _, meaning in explained(sections()[file.stem]) if "Empty" not in meaning
    ]
    assert [column for column in never_empty if kept[column].isna().any()] == []
