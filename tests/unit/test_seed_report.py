"""The reference report as a baseline: what it says is used, and what it cannot know is n/a."""

from pathlib import Path

import pytest

from conftest import ROOT
from wanbench.errors import InputError
from wanbench.report.compare.measured import Figure, MeasuredCase
from wanbench.report.compare.printed import read_printed
from wanbench.report.compare.seed_report import read_seed_report
from wanbench.report.compare.verdict import compare

SEED = ROOT / "tests/data/seed_report.md"
OURS = ROOT / "results/reference/h200/report.md"


@pytest.fixture(scope="module")
def cases() -> dict[str, MeasuredCase]:
    return {case.name: case for case in read_seed_report(SEED).cases}


@pytest.fixture(scope="module")
def notes() -> list[str]:
    return read_seed_report(SEED).notes


def test_ten_cases_with_what_they_say(cases: dict[str, MeasuredCase]) -> None:
    assert len(cases) == 10
    named = cases["01_Speed_Preview_704p"]
    assert named.figures["step_s"].value == pytest.approx(6.875)  # of 6.87, 6.90, 6.87 and 6.88; the first is 7.02
    assert named.figures["first_step_s"] == Figure(7.02)
    assert named.figures["text_encoding_s"] == Figure(13.06)
    assert named.figures["gpu_mem_bytes"].value == pytest.approx(31.27e9)
    assert named.figures["total_duration_s"] == Figure(126.51)
    assert named.settings == {"size": "1280*704", "offload": "model", "steps": 5}


def test_zero_is_not_measured(cases: dict[str, MeasuredCase]) -> None:
    nameless = cases["01_5B_Speed_Preview_704p"]
    assert nameless.figures["step_s"] == Figure()
    assert nameless.stages == {}
    named = cases["01_Speed_Preview_704p"]
    assert "TI2V_Preprocess" not in named.stages
    assert named.figures["comp_load_pct_s"] == Figure()


def test_loads_counted_twice_are_corrected_and_noted(cases: dict[str, MeasuredCase], notes: list[str]) -> None:
    loads = {name: case.figures["comp_load_pct_s"].value for name, case in cases.items()}
    assert loads["01_5B_Speed_Preview_704p"] == 5813
    assert loads["04_14B_Speed_Preview_480p"] == 19578
    assert sum(load is not None for load in loads.values()) == 7
    (note,) = (note for note in notes if note.startswith("Load that counts"))
    assert "01_5B_Speed_Preview_704p (11546 = 5733 of stages + 5813, which stands)" in note
    assert note.count("which stands") == 7


@pytest.mark.parametrize(
    ("start", "part"),
    [
        ("Stages without a name", "04_14B_Speed_Preview_480p (15 of 15 stages)"),
        ("0 where nothing was measured", "03_Max_Quality_704p (87 of 105 stages)"),
        ("A GPU utilisation of 0.0 %", "03_Max_Quality_704p (SM activity was 99.9 %)"),
        ("A memory limit that is another GPU's", "04_14B_Speed_Preview_480p (82.60 GB against a limit of 48 GB)"),
        ("A size that is not the name's", "01_Speed_Preview_480p (1280*704), 04_14B_Speed_Preview_480p (1280*704)"),
        ("An offload that nobody knows", "03_Performance_Mode_720p (False, but its peak of 31.27 GB"),
        ("Step time that changes", "03_Max_Quality_704p (6.88 s to 15.08 s"),
        ("Time of Total_Execution", "01_Speed_Preview_704p (10.86 s of 121.19 s)"),
        ("No hardware", "so nobody can repeat it"),
    ],
)
def test_contradictions_are_noted(notes: list[str], start: str, part: str) -> None:
    (note,) = (note for note in notes if note.startswith(start))
    assert part in note


def test_nothing_else_is_noted(notes: list[str]) -> None:
    assert len(notes) == 10
    # Each rule is silent about a case that gives it no reason.
    assert not any("02_Efficiency_Quality_704p" in note for note in notes if note.startswith(("Step time", "A size")))


def test_what_contradicts_itself_is_unknown_or_doubtful(cases: dict[str, MeasuredCase]) -> None:
    assert "size" not in cases["04_14B_Speed_Preview_480p"].settings
    assert "offload" not in cases["03_Max_Quality_704p"].settings
    assert "offload" not in cases["03_Performance_Mode_720p"].settings
    assert cases["03_5B_Performance_Mode_704p"].settings["offload"] == "none"
    assert cases["03_Max_Quality_704p"].doubt is not None
    assert cases["02_Efficiency_Quality_704p"].doubt is None


def test_figures_are_shown_and_verdicts_withheld(cases: dict[str, MeasuredCase]) -> None:
    (case,) = compare("seed", [cases["01_Speed_Preview_704p"]], [cases["01_Speed_Preview_704p"]]).cases
    row = next(row for row in case.rows if row.name == "s/step")
    assert (row.ratio, row.verdict) == (1, "hardware unknown")


def test_a_report_of_ours_has_no_contradictions() -> None:
    report = read_seed_report(OURS)
    assert report.notes == []
    assert [case.name for case in report.cases if case.doubt] == []
    by_name = {case.name: case for case in report.cases}
    # The step in which the experts change, 37 s, is no typical one.
    assert by_name["T2V_A14B_480p_offload_compiled"].figures["step_s"].value == pytest.approx(5.75, abs=0.01)
    # With a cache steps are unlike by design, and s/step is their mean.
    assert by_name["5B_704p_cache"].figures["step_s"].value == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("| 143.25 |", "| fast |", r"line 5: Time\(s\): 'fast' is no number; allowed: a number, n/a or Unknown"),
        ("| 0.00 | 31.12 | 0.0 |", "| 0.00 | 31.12 |", "line 32: 6 cells; allowed: 7"),
        ("| Case  ", "| Name  ", "no summary; allowed: "),
    ],
    ids=["no number", "a cell missing", "no summary"],
)
def test_a_report_that_is_not_in_the_form_is_one_line(tmp_path: Path, old: str, new: str, part: str) -> None:
    text = SEED.read_text("utf-8").replace("|   143.25 |", "| 143.25 |")
    assert old in text
    file = tmp_path / "report.md"
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(InputError, match=part) as caught:
        read_printed(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
