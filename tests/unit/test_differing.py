"""What cases differ in stands in a table, where they are no choice of settings for a full-scale model."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from example_cases import tiny_case
from reports import case_trace, full_case, report, tables
from traces import HOST
from wanbench.analysis.tables import cases_table
from wanbench.report.differing import settings_that_differ
from wanbench.trace.reader import Trace


def on_the_cpu(folder: Path, name: str, step_s: float = 0.0215, **settings: Any) -> Trace:
    return case_trace(folder, replace(tiny_case(**settings), name=name), step_s, HOST)


def test_settings_in_which_cases_of_a_model_differ_stand_beside_their_times(tmp_path: Path) -> None:
    traces = [
        on_the_cpu(tmp_path, "a", steps=4),
        on_the_cpu(tmp_path, "b", 0.0324, steps=4, guidance=1),
        on_the_cpu(tmp_path, "c", steps=6, vae_tiling=True),
        on_the_cpu(tmp_path, "alone", model="T2V-A14B", steps=9),
    ]
    section = settings_that_differ(cases_table(traces))
    assert re.findall(r"^###? .+$", section, re.M) == ["## Settings that differ", "### TI2V-5B"]
    (rows,) = tables(section, "Case")
    assert list(rows[0]) == ["Case", "steps", "guidance", "vae_tiling", "s/step", "Time(s)", "Mem(GB)", "RAM(GB)"]
    assert [[row[key] for key in ("Case", "steps", "guidance", "vae_tiling", "s/step")] for row in rows] == [
        ["a", "4", "5", "false", "0.021"],
        ["b", "4", "1", "false", "0.032"],
        ["c", "6", "5", "true", "0.021"],
    ]
    assert section in report(*traces)


def test_a_setting_that_some_cases_do_not_have_is_absent_there(tmp_path: Path) -> None:
    traces = [on_the_cpu(tmp_path, "a"), on_the_cpu(tmp_path, "b", cache="first_block")]
    (rows,) = tables(settings_that_differ(cases_table(traces)), "Case")
    assert [(row["cache"], row["cache_threshold"]) for row in rows] == [("none", "n/a"), ("first\\_block", "0.05")]


def test_where_cases_are_a_choice_of_settings_that_section_says_it(tmp_path: Path) -> None:
    text = report(case_trace(tmp_path, full_case("a", steps=3)), case_trace(tmp_path, full_case("b", steps=4)))
    assert "## Which settings to use" in text
    assert "Settings that differ" not in text


def test_cases_that_differ_in_nothing_have_no_such_section(tmp_path: Path) -> None:
    traces = [on_the_cpu(tmp_path, "a"), on_the_cpu(tmp_path, "b")]
    assert settings_that_differ(cases_table(traces)) is None
    assert "Settings that differ" not in report(*traces)
    assert settings_that_differ(cases_table([])) is None
