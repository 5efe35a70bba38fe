"""Findings in the report: order, links, explanations; the thresholds' file; the columns' meaning."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from conftest import ROOT
from example_cases import tiny_case
from reports import (
    THRESHOLDS,
    case_trace,
    findings,
    found_in,
    full_case,
    kept_traces,
    made,
    report,
    table_of_findings,
    tables,
)
from traces import LIMITS
from wanbench.analysis.collect import judged
from wanbench.analysis.tables import write_table
from wanbench.cases.schema import check
from wanbench.cases.yaml_file import read_yaml
from wanbench.findings.rules import EXPLANATIONS, RULES
from wanbench.trace.reader import Trace, read_trace
from wanbench.util.errors import InputError

FILE = ROOT / "config/thresholds.yaml"
SCHEMA = ROOT / "workflow/schemas/thresholds.schema.json"
TEXTS = ROOT / "workflow/scripts/wanbench/findings/texts.yaml"


@pytest.fixture(scope="module")
def oom() -> Trace:
    """The case that did not fit an H100."""
    return judged(read_trace(ROOT / "results/reference/h100/traces/T2V_A14B_720p.json.gz"), LIMITS)


@pytest.fixture
def busy(tmp_path: Path) -> Trace:
    measures = {r"Step_\d+_Inference": {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    return made(tmp_path, full_case(steps=3), [9.0, 2.0, 2.0], measures=measures, finite=False)


# --- thresholds -------------------------------------------------------------------------------------------------


def complaint(**changes: object) -> str:
    values = yaml.safe_load(FILE.read_text("utf-8")) | changes
    with pytest.raises(InputError) as error:
        check({key: value for key, value in values.items() if value is not None}, "t.yaml", None, SCHEMA)
    (line,) = str(error.value).splitlines()
    return line


def test_the_file_the_schema_and_the_code_have_the_same_keys() -> None:
    values = yaml.safe_load(FILE.read_text("utf-8"))
    check(values, "t.yaml", None, SCHEMA)
    assert list(values) == json.loads(SCHEMA.read_text("utf-8"))["required"]


def test_every_threshold_has_a_reason_and_is_used_by_an_explanation_or_a_rule() -> None:
    lines = FILE.read_text("utf-8").splitlines()
    for i, line in enumerate(lines):
        if line and not line.startswith("#"):
            assert lines[i - 1].startswith("#"), line
    package = ROOT / "workflow/scripts/wanbench"
    files = [package / "trace/verdict.py", package / "report/view.py", *(package / "findings").glob("*.py")]
    code = "".join(file.read_text("utf-8") for file in files)
    for key in yaml.safe_load(FILE.read_text("utf-8")):
        assert f".{key}" in code
        if key != "alike_generation_pct":  # It is of the settings table.
            assert any(f"`{key}`" in explanation for explanation in EXPLANATIONS.values()), key


def test_wrong_thresholds_are_one_line() -> None:
    unknown = complaint(low_sm_activity=3)
    assert unknown.startswith(
        "t.yaml: unknown key 'low_sm_activity' (did you mean 'low_sm_activity_pct'?) with value 3;"
    )
    wrong = 't.yaml: step_scatter_pct: "much" is not allowed; allowed: a number of 0 or more'
    assert complaint(step_scatter_pct="much") == wrong
    assert complaint(step_scatter_pct=True) == wrong.replace('"much"', "true")
    assert complaint(busy_machine_pct=101).startswith("t.yaml: busy_machine_pct: 101 is not allowed")
    assert complaint(step_change_steps=2.5).endswith("2.5 is not allowed; allowed: an integer of 2 or more")
    assert complaint(busy_machine_pct=None) == "t.yaml: busy_machine_pct is missing; allowed: a number from 0 to 100"


def test_a_threshold_decides(busy: Trace) -> None:
    def fired(thresholds: SimpleNamespace) -> set[str]:
        return {finding.rule for finding in findings(busy, thresholds=thresholds)["full"]}

    assert "compute_bound" in fired(THRESHOLDS)
    assert "compute_bound" not in fired(SimpleNamespace(**vars(THRESHOLDS) | {"compute_bound_tensor_pct": 80}))


# --- in the report ----------------------------------------------------------------------------------------------


def test_warnings_come_first_then_bottlenecks_then_notes(busy: Trace, tmp_path: Path) -> None:
    severities = [finding.severity for finding in findings(busy)["full"]]
    assert severities == ["warning", "note"]
    bound = {r"Step_\d+_Inference": {"sm_activity_pct": 98.0, "tensor_activity_pct": 50.0}}
    severities = [finding.severity for finding in findings(made(tmp_path, full_case(), measures=bound))["full"]]
    assert severities == ["bottleneck"]


def test_every_finding_is_a_line_with_its_severity_and_rule_which_the_end_explains(busy: Trace, tmp_path: Path) -> None:
    body, end = report(busy, *kept_traces()).replace("\\", "").split("# Appendix")
    lines = re.findall(r"^- (Warning|Bottleneck|Note) \((\w+)\): ", body, re.M)
    assert {severity for severity, _ in lines} == {"Warning", "Bottleneck", "Note"}
    explained = re.findall(r"^- \*\*(\w+)\*\*: ", end.split("### Findings")[1], re.M)
    assert {rule for _, rule in lines} == set(explained)
    assert {"output_not_finite", "compute_bound", "transfer_bound"} <= set(explained)
    assert "- None found in what was measured." in report(case_trace(tmp_path, full_case("whole")))


def test_findings_are_a_table_that_they_can_be_read_back_from(busy: Trace, tmp_path: Path) -> None:
    found = table_of_findings(busy, *kept_traces())
    write_table(found, tmp_path / "findings.csv", tmp_path / "findings.parquet")
    table = pd.read_parquet(tmp_path / "findings.parquet")
    pd.testing.assert_frame_equal(table, found)
    assert set(table.dtypes.astype(str)) == {"string"}
    evidence = json.loads(table[table["rule"] == "kernel_bound"].iloc[0]["evidence"])
    assert evidence["sm_activity_pct"] > 90
    rows = pd.read_csv(tmp_path / "findings.csv")
    assert list(rows) == ["case", "rule", "severity", "evidence", "text", "advice", "advised"]
    assert len(rows) == len(found)


def test_no_findings_are_an_empty_table(tmp_path: Path) -> None:
    write_table(table_of_findings(), tmp_path / "findings.csv", tmp_path / "findings.parquet")
    assert found_in(pd.read_parquet(tmp_path / "findings.parquet")) == {}


def test_rules_have_explanations_of_two_or_three_sentences() -> None:
    for rule, explanation in EXPLANATIONS.items():
        assert 50 < len(explanation) < 450, rule
        assert explanation.endswith("."), rule
        assert "\n" not in explanation, rule


def test_a_finding_has_two_sentences_at_most(busy: Trace, oom: Trace) -> None:
    found = [finding for of_case in findings(busy, oom, *kept_traces()).values() for finding in of_case]
    for finding in found:
        assert 1 <= len(re.findall(r"\.(?= |$)", finding.sentences)) <= 2, finding.sentences
    assert len({finding.rule for finding in found}) > 8


def test_every_rule_has_its_texts_and_every_text_a_rule() -> None:
    assert set(read_yaml(TEXTS)) - {"say"} == set(RULES)


def test_findings_are_of_the_rule_that_makes_them_and_of_finite_figures() -> None:
    for of_case in findings(*kept_traces()).values():
        for finding in of_case:
            assert finding.rule in RULES
            assert all(isinstance(value, float) and value == value for value in finding.evidence.values()), finding
            for word in ("nan", "None", "<NA>", "  ", " .", " ,"):
                assert word not in finding.sentences


def test_every_column_and_line_is_explained(tmp_path: Path, oom: Trace) -> None:
    """In a report that contains all that there can be."""
    moved = {"VAE_Decoding": {"transfers": 1, "loading_s": 1.0}, r"Step_\d_Inference": {"passes_reused": 1}}
    repeated = full_case("repeated", steps=3, repeats=5, offload="model", cache="first_block")
    others = [trace for trace in kept_traces() if trace.case["name"] != oom.case["name"]]
    text = report(made(tmp_path, repeated, measures=moved), oom, *others).replace("\\", "")
    body, end = text.split("## How to read this report")
    explained = {
        section.split("\n")[0]: {
            key for keys in re.findall(r"^- \*\*(.+?)\*\*: ", section, re.M) for key in keys.split(", ")
        }
        for section in end.split("\n### ")
    }
    stages = {name for rows in tables(body, "Stage") for name in rows[0]}
    # A row, not a column.
    assert stages == explained["Stages of a case"] - {"Step_i_Loading"}
    lines = set(re.findall(r"^- \*\*(.+?)\*\*: ", body.split("# Detailed Breakdown")[1].split("# Appendix")[0], re.M))
    of_head = {"Total Duration", "Peak GPU Memory", "Total Compute Load"}
    assert lines - of_head == explained["Inference Statistics"]
    assert "### Settings" in end
    assert "### Settings" not in report(case_trace(tmp_path, tiny_case()))


# --- the cases of an H200 and an H100 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "fires", "silent"),
    [
        (
            "T2V_A14B_480p_offload_compiled",
            {"transfer_bound"},
            # The case that copied faster is of another machine.
            {"no_effect"},
        ),
        ("02_5B_Efficiency_Mode_704p", {"transfer_bound", "faster_setting"}, {"low_sm_activity", "vram_margin"}),
        ("5B_704p_compiled", {"compute_bound"}, {"transfer_bound", "no_effect"}),
        (
            "5B_704p_group_stream",
            {"faster_setting"},
            {"transfer_bound", "compute_bound"},
        ),
    ],
)
def test_what_is_found_on_an_h200(case: str, fires: set[str], silent: set[str]) -> None:
    found = {finding.rule for finding in findings(*kept_traces())[case]}
    assert fires <= found
    assert not silent & found


def test_a_case_that_did_not_fit_an_h100_is_told_what_would(oom: Trace) -> None:
    assert oom.status == "oom"
    text = report(oom)
    assert "ran out of GPU memory in VAE\\_Decoding, 85.02 GB on this" in text
    assert "What should fit: `compile: repeated_blocks` and `vae_tiling: true` (about 75.04 GB;" in text
    assert "or `offload: model` (about 37.69 GB;" in text
    (stages,) = tables(text, "Stage")
    assert [row["Stage"] for row in stages if row["Interrupted"] == "yes"] == ["VAE_Decoding", "Total_Execution"]
