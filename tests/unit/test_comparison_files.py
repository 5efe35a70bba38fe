"""The comparison as files, what ends the command with an error, and what a baseline may be."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from example_cases import tiny_case
from measured_cases import kept_videos
from reports import read_back
from traces import GPU, HOST, LIMITS, records, trace_of, write
from wanbench.compare.baseline import baseline_files
from wanbench.compare.change_verdict import as_json, compared_runs
from wanbench.compare.sides import side_of
from wanbench.report.render import rendered
from wanbench.util.errors import InputError

GOLDEN = ROOT / "tests/data/comparison.json"


NOTHING: dict[str, Any] = {
    **{
        key: []
        for key in ("worse", "videos", "excluded", "cases", "rows", "not_measured_again", "only_old", "only_new")
    },
    "verdicts": {},
}


def errors(**comparison: Any) -> str:
    return rendered("comparison_errors.j2", **NOTHING | comparison).strip()


def test_what_is_an_error_of_the_command_is_named() -> None:
    assert "(--config grid=FILE names another)" in errors()
    assert "all cases that belong together made different videos" in errors(cases=[{"case": "a"}])
    both = [{"case": "a"}, {"case": "b"}]
    assert errors(cases=both, rows=both, not_measured_again=["a"]) == ""
    assert "nothing was measured again" in errors(cases=both, rows=both, not_measured_again=["a", "b"])
    lines = errors(cases=both, rows=both, worse=["a: slower"], excluded=["b: \x1b stale"]).splitlines()
    assert lines == ["Worse than the baseline:", "a: slower", "", "Could not be compared:", "b: \\x1b stale"]


def test_a_comparison_ends_with_its_counts() -> None:
    def end(**comparison: Any) -> list[str]:
        return rendered("comparison_end.j2", **NOTHING | comparison).strip().splitlines()

    assert end() == ["Cases: none", "Verdicts of measures: none"]
    some = {"cases": [{"case": "a"}, {"case": "b"}], "verdicts": {"same": 9, "slower": 1}, "only_old": ["c"]}
    assert end(**some, not_measured_again=["a"]) == [
        "Cases: 2 of both sides, 1 not measured again, 1 only in the baseline",
        "Verdicts of measures: 9 same, 1 slower",
    ]


def test_the_comparison_as_json(tmp_path: Path) -> None:
    sides = []
    for side, step_s, torch in (("old", 2.0, "2.11.0"), ("new", 2.5, "2.12.0")):
        folder = tmp_path / side
        gpu = GPU | {"packages": {"torch": torch, "diffusers": "0.42.1"}}
        for name, settings in (("a", {}), (side, {"offload": "model" if side == "old" else "group"})):
            trace = trace_of(
                records([step_s + 1, step_s, step_s], environment=gpu), case=replace(tiny_case(**settings), name=name)
            )
            write(folder, trace)
        sides.append(sorted(folder.glob("*.json")))
    (tmp_path / "old/broken.json").write_text("{}")
    comparison = compared_runs(
        "old",
        [tmp_path / "old/broken.json", *sides[0]],
        sides[1],
        {"b": "b.json: stale"},
        LIMITS,
        10.0,
        kept_videos(tmp_path),
    )
    content = json.loads(json.dumps(as_json(comparison)))
    content["excluded"] = [line.replace(f"{tmp_path}/", "") for line in content["excluded"]]
    assert content == json.loads(GOLDEN.read_text("utf-8"))
    assert comparison.rows["verdict"].tolist() == [row["verdict"] for row in content["rows"]]


def test_the_environment_is_hardware_and_software(tmp_path: Path) -> None:
    (on_cpu,) = side_of([read_back(tmp_path, records([1.0] * 3, environment=HOST))])
    assert on_cpu.hardware == {
        "GPU": "none",
        "GPU memory (bytes)": None,
        "power limit (W)": None,
        "platform": "Linux x86_64",
        "CPU": "Some CPU",
        "logical cores": 16,
    }
    assert on_cpu.software["torch"] == "2.11.0"
    assert on_cpu.software["Python"] == "3.12.3"


# --- baselines --------------------------------------------------------------------------------------------------


def test_traces_are_found_in_results_and_in_a_folder_of_traces(tmp_path: Path) -> None:
    kept = ROOT / "results/reference/h200"
    assert baseline_files(kept, tmp_path) == baseline_files(kept / "traces", tmp_path)
    assert len(baseline_files(kept, tmp_path)) == len(list((kept / "traces").glob("*.json.gz")))


def test_a_run_is_no_baseline_of_itself_and_a_case_stands_once(tmp_path: Path) -> None:
    (tmp_path / "results/traces").mkdir(parents=True)
    file = tmp_path / "results/traces/a.json"
    file.write_text("{}")
    with pytest.raises(InputError, match="is where this run writes its traces; allowed: a copy of it"):
        baseline_files(tmp_path / "results", tmp_path / "results")
    file.with_name("a.json.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.json and a\.json\.gz are the same case"):
        baseline_files(tmp_path / "results", tmp_path / "other")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("config", "baseline config: holds no traces; allowed: "),
        ("config/config.yaml", "baseline config/config.yaml: is a file; allowed: "),
        ("", "baseline .: does not exist; allowed: "),
    ],
)
def test_what_can_be_no_baseline_is_named(path: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=re.escape(part)):
        baseline_files(path, Path("results"))
