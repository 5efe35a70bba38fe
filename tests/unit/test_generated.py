"""The rows of metrics and settings: the files that follow from them, and the tables that they are of."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT
from reports import table_of_findings
from wanbench.registry import metrics
from wanbench.registry.settings import ALWAYS, DERIVED, MODEL, ROWS, SETTINGS

KEPT = sorted((ROOT / "results/reference").glob("*/tables/*.csv"))
# Made of nothing, a table has its columns and their types all the same.
TABLES = {"findings": table_of_findings}


def rows(table: str) -> list[metrics.Metric]:
    return [metric for group in metrics.TABLES[table].values() for metric in group]


@pytest.mark.parametrize("table", metrics.TABLES)
def test_a_table_has_each_column_once_and_a_meaning_of_each(table: str) -> None:
    keys = [metric.key for metric in rows(table)]
    assert len(keys) == len(set(keys))
    sections = re.split(r"\n## (\w+)\n", (ROOT / "docs/tables.md").read_text("utf-8"))
    of_table = dict(zip(sections[1::2], sections[2::2], strict=True))
    # Columns that cases and fidelity share are explained once.
    page = of_table[table] + (of_table["fidelity"] if table == "cases" else "")
    explained = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ([^|]*) \|", page, re.M)))
    for metric in rows(table):
        assert metric.meaning
        assert explained.count(metric.key) == (2 if (table, metric.key) == ("cases", "case") else 1)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_columns_of_its_rows(table: str) -> None:
    columns = {column: str(dtype) for column, dtype in TABLES[table]().dtypes.items()}
    assert columns == {metric.key: metrics.dtype(metric) for metric in rows(table)}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_kept_tables_are_empty_only_where_it_is_said(file: Path) -> None:
    kept = pd.read_csv(file)
    never_empty = [metric.key for metric in rows(file.stem) if not metric.empty and "empty text" not in metric.meaning]
    assert [column for column in never_empty if column in kept and kept[column].isna().any()] == []


def test_generated_files_are_as_the_registries_have_them() -> None:
    done = subprocess.run([sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_rows_of_settings() -> None:
    assert len(SETTINGS) == len(ROWS)
    order = list(SETTINGS)
    for row in ROWS:
        # `completed` fills them in in this order.
        assert all(order.index(key) < order.index(row.key) for key, _ in row.only_with)
        assert row.meaning, row.key
        if row.role != DERIVED and row.default not in (None, MODEL):
            # An older trace may lack each that has a default of its own.
            assert row.neutral is not ALWAYS, row.key
