"""Findings in the report: order, links, explanations; the thresholds' file; the columns' meaning."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from conftest import ROOT
from example_cases import tiny_case
from reports import (
    THRESHOLDS,
    case_trace,
    findings,
    full_case,
    kept,
    kept_traces,
    made,
    recorded,
    report,
    tables,
)
from wanbench.cases.schema import check
from wanbench.findings.rules import EXPLANATIONS
from wanbench.trace.reader import Trace
from wanbench.util.errors import InputError

FILE = ROOT / "config/thresholds.yaml"
SCHEMA = ROOT / "workflow/schemas/thresholds.schema.json"
STEPS = r"Step_\d+_Inference"
# The case that did not fit an H100.
OOM = "T2V_A14B_720p"


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> list[Trace]:
    """Cases of which a report contains all that there can be; the first is bound by arithmetic."""
    folder = tmp_path_factory.mktemp("made")
    measures = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    busy = made(folder, full_case("busy", steps=3), [9.0, 2.0, 2.0], measures=measures, finite=False)
    moved = {"VAE_Decoding": {"transfers": 1, "loading_s": 1.0}, STEPS: {"passes_reused": 1}}
    case = full_case("repeated", steps=3, repeats=5, offload="model", cache="first_block")
    repeated = made(folder, case, measures=moved)
    others = [trace for trace in kept_traces() if trace.case["name"] != OOM]
    return [busy, repeated, kept(OOM, "h100"), recorded("5B_704p_cache"), *others]


def test_every_threshold_has_a_reason_and_is_of_the_schema_and_used_by_an_explanation_or_a_rule() -> None:
    values = yaml.safe_load(FILE.read_text("utf-8"))
    check(values, "t.yaml", None, SCHEMA)
    assert list(values) == json.loads(SCHEMA.read_text("utf-8"))["required"]
    lines = FILE.read_text("utf-8").splitlines()
    for i, line in enumerate(lines):
        if line and not line.startswith("#"):
            assert lines[i - 1].startswith("#"), line
    code = "".join(file.read_text("utf-8") for file in (ROOT / "workflow/scripts/wanbench").rglob("*.py"))
    for key in values:
        assert f".{key}" in code
        if key != "alike_generation_pct":  # It is of the settings table.
            assert any(f"`{key}`" in explanation for explanation in EXPLANATIONS.values()), key


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("low_sm_activity", 3, "unknown key 'low_sm_activity' (did you mean 'low_sm_activity_pct'?) with value 3;"),
        ("step_scatter_pct", True, "step_scatter_pct: true is not allowed; allowed: a number of 0 or more"),
        ("busy_machine_pct", None, "busy_machine_pct is missing; allowed: a number from 0 to 100"),
    ],
)
def test_wrong_thresholds_are_one_line(key: str, value: object, complaint: str) -> None:
    values = yaml.safe_load(FILE.read_text("utf-8")) | {key: value}
    with pytest.raises(InputError) as error:
        check({key: value for key, value in values.items() if value is not None}, "t.yaml", None, SCHEMA)
    assert str(error.value).startswith(f"t.yaml: {complaint}")
    assert "\n" not in str(error.value)


def test_a_threshold_decides(all_kinds: list[Trace]) -> None:
    for tensor_pct, fires in ((60, True), (80, False)):
        thresholds = SimpleNamespace(**vars(THRESHOLDS) | {"compute_bound_tensor_pct": tensor_pct})
        found = findings(all_kinds[0], thresholds=thresholds)["busy"]
        assert ("compute_bound" in {finding.rule for finding in found}) is fires


def test_every_finding_is_a_line_whose_rule_the_end_explains(all_kinds: list[Trace], tmp_path: Path) -> None:
    body, end = report(*all_kinds).replace("\\", "").split("# Appendix")
    lines = re.findall(r"^- (Warning|Bottleneck|Note) \((\w+)\): ", body, re.M)
    assert {severity for severity, _ in lines} == {"Warning", "Bottleneck", "Note"}
    explained = re.findall(r"^- \*\*(\w+)\*\*: ", end.split("### Findings")[1], re.M)
    assert {rule for _, rule in lines} == set(explained)
    assert {"output_not_finite", "compute_bound", "transfer_bound"} <= set(explained)
    assert "- None found in what was measured." in report(case_trace(tmp_path, full_case("whole")))


def test_findings_are_short_and_finite_and_warnings_come_first(all_kinds: list[Trace]) -> None:
    by_case = findings(*all_kinds)
    for found in by_case.values():
        severities = [finding.severity for finding in found]
        assert severities == sorted(severities, key=["warning", "bottleneck", "note"].index)
        for finding in found:
            assert all(isinstance(value, float) and value == value for value in finding.evidence.values()), finding
            assert 1 <= len(re.findall(r"\.(?= |$)", finding.sentences)) <= 2, finding.sentences
            for word in ("nan", "None", "<NA>", "  ", " .", " ,"):
                assert word not in finding.sentences
    assert len({finding.rule for found in by_case.values() for finding in found}) > 8
    assert len({finding.severity for finding in by_case["busy"]}) > 1


def test_every_column_and_line_is_explained(all_kinds: list[Trace], tmp_path: Path) -> None:
    body, end = report(*all_kinds).replace("\\", "").split("## How to read this report")
    explained = {
        section.split("\n")[0]: set(", ".join(re.findall(r"^- \*\*(.+?)\*\*: ", section, re.M)).split(", "))
        for section in end.split("\n### ")
    }
    stages = {name for rows in tables(body, "Stage") for name in rows[0]}
    # A row, not a column.
    assert stages == explained["Stages of a case"] - {"Step_i_Loading"}
    lines = set(re.findall(r"^- \*\*(.+?)\*\*: ", body.split("# Detailed Breakdown")[1].split("# Appendix")[0], re.M))
    of_head = {"Total Duration", "Peak GPU Memory", "Total Compute Load"}
    assert lines - of_head == explained["Inference Statistics"]
    settings = tables(body, "Settings")[0][0].keys()
    assert {"Decoding (s)", "Videos/h"} < settings <= explained["The summary"] | explained["Settings"]
    assert "### Settings" not in report(case_trace(tmp_path, tiny_case()))
