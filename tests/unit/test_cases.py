"""Grid files: what they give, and what they are refused for."""

from pathlib import Path

import pytest

from checkpoints import write_hollow_checkpoint
from conftest import ROOT
from example_cases import resolve
from wanbench.cases import resolve as resolve_module
from wanbench.cases.resolve import case_names, resolve_cases
from wanbench.cases.yaml_file import read_yaml
from wanbench.models.facts import MODELS
from wanbench.util.errors import InputError

GOOD = {"model": "TI2V-5B"}
MODEL = {"model": ["TI2V-5B"]}


@pytest.fixture(autouse=True)
def _in_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def refusal(content: dict) -> str:
    with pytest.raises(InputError) as error:
        resolve_cases(content, "grid.yaml")
    return str(error.value)


def test_names_of_cases_need_none_of_the_files_that_the_cases_speak_of() -> None:
    content = {
        "cases": {"a": GOOD | {"weights": "pretrained", "checkpoint": "no/such/folder/here", "image": "none.png"}},
        "grid": {"name": "g_{steps}", "axes": {"steps": [1, 2]}, "set": GOOD},
    }
    with pytest.raises(InputError, match="no/such/folder/here"):
        resolve_cases(content, "grid.yaml")
    assert case_names(content, "grid.yaml") == ["a", "g_1", "g_2"]
    with pytest.raises(InputError, match=r"grid.yaml: case 'b': unknown key 'modle'"):
        case_names({"cases": {"b": {"modle": "TI2V-5B"}}}, "grid.yaml")


def test_the_full_scale_grid_holds_the_reference_cases_with_settings_that_make_their_names_true() -> None:
    cases = {case.name: case for case in resolve_cases(read_yaml(Path("config/wan22.yaml")), "wan22.yaml")}
    expected = {
        "01_Speed_Preview_480p": ("TI2V-5B", "832*480", 5, "model"),
        "03_5B_Performance_Mode_704p": ("TI2V-5B", "1280*704", 10, "none"),
        "03_Max_Quality_704p": ("TI2V-5B", "1280*704", 50, "model"),
        "04_14B_Speed_Preview_480p": ("T2V-A14B", "832*480", 5, "model"),
    }
    for name, settings in expected.items():
        case = cases[name]
        assert (case.model, case.size, case.steps, case.offload) == settings, name
        assert case.scale == "full"
        assert case.frames == MODELS[case.model].frames
    assert cases["01_Speed_Preview_480p"].unofficial_size
    assert not cases["04_14B_Speed_Preview_480p"].unofficial_size
    # 5B has one official landscape size, each A14B has two; four offload modes.
    assert len(cases) == 10 + 4 * (1 + 2 + 2) - 1


def test_defaults_are_the_official_settings_of_the_model() -> None:
    case = resolve({"model": "T2V-A14B"})
    assert (case.size, case.frames, case.steps, case.guidance, case.shift) == ("1280*720", 81, 40, (4.0, 3.0), 12.0)
    assert case.negative_prompt.startswith("色调艳丽")
    assert resolve({"model": "I2V-A14B", "image": "config/first_frame.png"}).shift == 5.0
    assert resolve(GOOD).guidance == (5.0,)
    case = resolve(GOOD | {"weights": "pretrained"})
    assert (case.checkpoint, case.revision) == (MODELS["TI2V-5B"].hub_id, MODELS["TI2V-5B"].revision)
    # One number serves both experts.
    assert resolve({"model": "T2V-A14B", "guidance": 2}).guidance == (2, 2)


def test_defaults_of_the_file_are_passed_over_where_they_do_not_apply_but_a_case_cannot_ask_for_nothing() -> None:
    image = {"image": "config/first_frame.png"}
    assert resolve_cases({"defaults": image, "cases": {"a": GOOD}}, "grid.yaml")[0].image is None
    assert "image" in refusal({"cases": {"a": GOOD | image}})


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"stps": 3}, ["'stps'", "value 3", "did you mean 'steps'", "allowed: model"]),
        ({"model": "TI2V-5b"}, ["model", '"TI2V-5b"', "did you mean 'TI2V-5B'", "T2V-A14B"]),
        ({"vae_tiling": "true"}, ['vae_tiling: "true"', "(write true without quotes); allowed: true, false"]),
        ({"size": "832*480"}, ["size", "832*480", "1280*704, 704*1280", "unofficial_size: true"]),
        ({"frames": 120}, ["frames", "120", "117 and 121"]),
        ({"steps": 0}, ["steps", "0", "from 1 to 1000"]),
        ({"guidance": "5.5"}, ['guidance: "5.5" is not allowed (write 5.5 without quotes); allowed: a number']),
        ({"guidance": [4, 3]}, ["guidance", "[4, 3]", "one number"]),
        ({"task": "i2v"}, ["image is missing"]),
        ({"model": "T2V-A14B", "task": "i2v", "image": "config/first_frame.png"}, ["task", "t2v"]),
        (
            {"weights": "pretrained", "checkpoint": "someone/model"},
            ['checkpoint: "someone/model" is no folder here, and as a hub id it lacks its revision; allowed: a folder'],
        ),
        ({"weights": "pretrained", "checkpoint": "results/checkpoints/huge/TI2V-5B"}, ["a folder that exists"]),
        ({"weights": "pretrained", "revision": "main"}, ["revision", "main", "40 hexadecimal"]),
        ({"revision": "0" * 40}, ["revision", "weights: pretrained"]),
        ({"guidance": "5,0"}, ['guidance: "5,0" is not allowed (write 5.0)']),
        ({"model": "Wan-AI/Wan2.2-TI2V-5B-Diffusers"}, ["(a hub id or a folder goes into checkpoint:)"]),
    ],
)
def test_a_bad_setting_is_one_line_with_file_case_key_value_and_what_is_allowed(settings: dict, parts: list) -> None:
    message = refusal({"cases": {"my_case": GOOD | settings}})
    assert "\n" not in message
    for part in ["grid.yaml", "'my_case'", *parts]:
        assert part in message


def test_a_grid_is_the_product_of_its_axes_without_the_excluded() -> None:
    grid = {
        "name": "{model}_{size}_{steps}",
        "axes": {"model": ["TI2V-5B", "T2V-A14B"], "size": ["1280*704", "1280*720"], "steps": [5, 10]},
        "set": {"seed": 7},
        "exclude": [{"model": "TI2V-5B", "size": "1280*720"}, {"model": "T2V-A14B", "size": "1280*704"}],
    }
    cases = resolve_cases({"grid": grid}, "grid.yaml")
    names = ["TI2V-5B_1280x704_5", "TI2V-5B_1280x704_10", "T2V-A14B_1280x720_5", "T2V-A14B_1280x720_10"]
    assert [case.name for case in cases] == names
    assert {case.seed for case in cases} == {7}


@pytest.mark.parametrize(
    ("grid", "part"),
    [
        ({"name": "{model}", "axes": {"model": ["TI2V-5B"], "steps": [1, 2]}}, "two cases"),
        ({"name": "{modle}", "axes": MODEL}, "unknown axis {modle}"),
        ({"name": "{model}", "axes": MODEL, "exclude": [{7: 1}]}, "unknown key 7; allowed: model"),
        ({"name": "{model}", "axes": MODEL, "exclude": [{"model": "T2V-A14B"}]}, "matches no"),
        ({"name": "{model}", "axes": MODEL, "exclude": [{"model": "TI2V-5B"}]}, "no cases"),
        ({"name": "{model}", "axes": {"model": ["TI2V-5B", "TI2V-5B"]}}, "a value twice"),
        ({"name": "{model}", "axes": MODEL, "set": {"model": "TI2V-5B"}}, "both axes and set"),
        ({"name": "{model}", "axes": {"model": []}}, "one or more"),
    ],
)
def test_a_wrong_grid_is_refused(grid: dict, part: str) -> None:
    message = refusal({"grid": grid})
    assert message.startswith("grid.yaml")
    assert part in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"cases": None}, "no cases"),
        ({"defaults": {"model": []}, "grid": {"name": "{steps}", "axes": {"steps": [1]}}}, "model: [] is not allowed"),
        ({"cases": {"TI2V-5B": GOOD}, "grid": {"name": "{model}", "axes": MODEL}}, "names must differ"),
        ({"cases": {"a": GOOD, "A": GOOD}}, "case 'A' differs from 'a' in capitals alone"),
    ],
)
def test_a_file_without_cases_or_with_cases_of_one_name_is_refused(content: dict, part: str) -> None:
    assert part in refusal(content)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cases:\n  a: {model: TI2V-5B\n  b: 3\n", "line 3, column 4: not valid YAML"),
        ("cases:\n\ta: 1\n", "line 2, column 1: not valid YAML: a tab"),
        ("cases:\n  a: 1\n  a: 2\n", "line 3: 'a' stands here a second time (first in line 2)"),
        ("", "empty"),
        ("a:\n  shift: .nan\n", "line 2: .nan is not allowed; allowed: finite numbers"),
        (f"timeout_s: {10**308 * 10}\n", "of 310 characters) is not allowed; allowed: finite numbers"),
        ("cases:\n  010: {}\n", "line 2: 010 is read by YAML as 8; allowed: 8, or the text in quotes"),
        ("vae_tiling: on\n", "line 1: on is read by YAML as true"),
        ("prompt: 2024-01-31\n", "is read by YAML as the date 2024-01-31; allowed: the text in quotes"),
        (None, "cannot be read: "),
    ],
)
def test_a_file_that_is_no_strict_yaml_mapping_is_refused(tmp_path: Path, text: str | None, part: str) -> None:
    file = tmp_path / "grid.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError) as error:
        read_yaml(file)
    assert str(error.value).startswith(f"{file}: ")
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_plain_numbers_truth_values_and_aliases_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("a: &a [12, 0.5, 1.5e+3, true, False]\nb: [*a, *a]\nc: &c {x: 1, y: 2}\nd: {<<: *c, y: 3}\n")
    read = read_yaml(file)
    assert (read["b"], read["d"]) == (2 * [[12, 0.5, 1500.0, True, False]], {"x": 1, "y": 3})


def test_a_changed_checkpoint_folder_changes_the_case(tmp_path: Path) -> None:
    write_hollow_checkpoint(tmp_path)
    settings = GOOD | {"weights": "pretrained", "checkpoint": str(tmp_path)}
    digests, config = {resolve(settings).checkpoint_sha256}, "tokenizer/tokenizer_config.json"
    for file, text in (("README.md", "x"), ("README.md", "xy"), (config, '{"a": 1}'), (config, '{"a": 2}')):
        (tmp_path / file).write_text(text)
        digests |= {resolve(settings).checkpoint_sha256, resolve(settings).checkpoint_sha256}
    assert len(digests) == 5


def test_a_file_that_many_cases_use_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hollow_checkpoint(tmp_path)
    shared = {"task": "i2v", "image": "config/first_frame.png", "weights": "pretrained", "checkpoint": str(tmp_path)}
    read: list[Path] = []
    for name in ("sha256_of_file", "checkpoint_digest"):
        monkeypatch.setattr(resolve_module, name, lambda path: read.append(path) or "0")
    grid = {"name": "{seed}", "axes": {"seed": list(range(20))}, "set": GOOD | shared}
    assert len(resolve_cases({"grid": grid}, "grid.yaml")) == 20
    assert sorted(read) == sorted([Path("config/first_frame.png"), tmp_path])


def test_a_checkpoint_still_to_be_written_has_the_heads_of_its_scale() -> None:
    """Three divides the 24 heads of TI2V-5B and not the eight of the tiny model."""
    loads = GOOD | {"weights": "pretrained", "gpus": 3}
    message = refusal({"cases": {"a": loads | {"checkpoint": "results/checkpoints/tiny/TI2V-5B"}}})
    assert "the 8 attention heads" in message


def test_published_weights_under_a_tiny_scale_are_refused_and_a_folder_is_not() -> None:
    grid = {"defaults": {"scale": "tiny"}, "cases": {"a": GOOD | {"weights": "pretrained"}}}
    assert "loads Wan-AI/Wan2.2-TI2V-5B-Diffusers at full size, and defaults say scale: tiny" in refusal(grid)
    grid["cases"]["a"]["checkpoint"] = "results/checkpoints/tiny/TI2V-5B"
    assert resolve_cases(grid, "grid.yaml")[0].scale is None
