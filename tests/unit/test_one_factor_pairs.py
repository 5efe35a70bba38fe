"""Which cases of a report differ in one setting, which of several is the nearest, and what is found of them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import findings, fired, made_tables, rules, steady_case
from traces import GPU, gpu_with
from wanbench.analysis.one_factor_pairs import one_factor_pairs
from wanbench.trace.reader import Trace

OTHER_GPU = gpu_with(uuid="GPU-1")
OFFLOADED = {"offload": "model"}
STEPS = r"Step_\d+_Inference"
GROUP = {"settings": {"offload": "group"}, "peak_gb": 20}
COMPILED = {"settings": {"compile": "repeated_blocks"}}
CACHED = {"cache": "first_block", "weights": "pretrained"}


def pairs(own: Trace, *others: Trace) -> pd.DataFrame:
    return one_factor_pairs(made_tables(own, *others).cases).query(f"case == '{own.case['name']}'")


def settings(own: Trace, *others: Trace) -> list[str]:
    return [f"{pair.key}: {pair.other_value}" for pair in pairs(own, *others).itertuples()]


def test_of_the_cases_with_a_setting_the_nearest_stands(tmp_path: Path) -> None:
    """The same GPU, then as warm, then the same steps, then the most steps, then the fastest."""
    own = steady_case(tmp_path, "own", settings={"repeats": 2})
    near: dict[str, dict[str, Any]] = {
        "elsewhere": {"environment": OTHER_GPU},
        "cold": {"settings": {"repeats": 1}},
        "few_steps": {"steps": 5},
        "steps": {"steps": 30},
        "all_alike": {},
        "fastest": {"step_s": 1.5},
    }
    traces = [own]
    for name, options in near.items():
        more = {"repeats": 2} | OFFLOADED | options.pop("settings", {})
        traces.append(steady_case(tmp_path, name, settings=more, **options))
    cases = made_tables(*traces).cases
    for i, name in enumerate(near, start=2):
        found = one_factor_pairs(cases.head(i)).set_index("case").loc["own"]
        assert (found["other"], found["same_gpu"]) == (name, name != "elsewhere")


def test_the_same_kind_of_generation_is_compared_of_both(tmp_path: Path) -> None:
    """As 5B_704p_group_stream, of which nothing said that 5B_704p_warm is faster: both have a cold generation."""

    def cold_start(content: dict[str, Any]) -> None:
        for event in (event for event in content["traceEvents"] if event.get("cat") == "stage"):
            first = event["name"] == "Step_0_Inference" and event["args"]["generation"] == 0
            event["args"]["time_s"] += 9.0 if first or event["name"] == "Total_Execution" else 0

    warm = steady_case(tmp_path, "warm", settings={"repeats": 2}, alter=cold_start)
    for repeats, ratio in ((1, 104.75 / 113.75), (2, 1.0)):
        own = steady_case(tmp_path, "own", settings=OFFLOADED | {"repeats": repeats})
        assert pairs(own, warm).iloc[0]["generation_ratio"] == pytest.approx(ratio)


def test_what_makes_no_pair(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own")
    software = GPU | {"packages": GPU["packages"] | {"torch": "2.12.0"}}
    doubtful = steady_case(tmp_path, "doubtful", settings=OFFLOADED, unnamed_s=5.0)
    others = [
        steady_case(tmp_path, "same"),
        steady_case(tmp_path, "guidance", settings=OFFLOADED | {"guidance": 1.0}),
        steady_case(tmp_path, "gpu", settings=OFFLOADED, environment=gpu_with(name="Some GPU")),
        steady_case(tmp_path, "software", settings=OFFLOADED, environment=software),
        doubtful,
        # With random weights, how often a cache serves means nothing.
        steady_case(tmp_path, "cache", settings={"cache": "first_block"}),
    ]
    assert settings(own, *others) == settings(doubtful, own) == []
    assert len(one_factor_pairs(made_tables().cases)) == 0


def test_the_threshold_of_a_cache_belongs_to_it(tmp_path: Path) -> None:
    plain = steady_case(tmp_path, "plain", settings={"weights": "pretrained"})
    low, high = (
        steady_case(tmp_path, name, settings=CACHED | {"cache_threshold": threshold})
        for name, threshold in (("low", 0.05), ("high", 0.2))
    )
    assert settings(plain, low) == ["cache: first_block, cache_threshold: 0.05"]
    assert settings(low, high, plain) == ["cache: first_block, cache_threshold: 0.2", "cache: none"]


def test_a_setting_that_is_faster(tmp_path: Path) -> None:
    pairs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "fires": (GROUP | {"step_s": 4.0}, {"steps": 8}),
        "too little": (GROUP | {"step_s": 2.05}, {}),
        # Of another GPU only what is far beyond what two differ by.
        "fires for another GPU": (GROUP | {"step_s": 4.0}, {"environment": OTHER_GPU}),
        "too little for another GPU": (GROUP | {"step_s": 4.0}, {"environment": OTHER_GPU, "step_s": 3.5}),
        # Compiling acts on steps alone: shorter decoding is not its doing.
        "decoding": ({"step_s": 2.0, "decode_s": 90.0}, COMPILED),
        "fires for steps": ({"step_s": 4.0}, COMPILED),
        "equal but for its name": ({"step_s": 4.0}, {}),
    }
    traces, own_names = [], {}
    for i, (what, pair) in enumerate(pairs.items()):
        own_names[what] = f"own_{i}"
        for name, options in zip((f"own_{i}", f"faster_{i}"), pair):
            # Of a video of its own: no pair is compared with another.
            settings = {"frames": 41 + 4 * i} | options.get("settings", {})
            traces.append(steady_case(tmp_path, name, **options | {"settings": settings}))
    assert fired("faster_setting", *traces) == {name for what, name in own_names.items() if "fires" in what}


def test_of_a_setting_the_fastest_value_is_named_and_what_costs_quality_hides_nothing(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", step_s=8.0)
    others = [
        steady_case(tmp_path, attention, step_s=step_s, settings={"attention": attention})
        for attention, step_s in (("_native_cudnn", 4.0), ("_native_flash", 5.0), ("sage", 2.0))
    ]
    found = [finding for finding in findings(own, *others)["own"] if finding.rule == "faster_setting"]
    assert {finding.advised[0][0]: "(lossy)" in finding.text for finding in found} == {
        "attention: _native_cudnn": False,
        "attention: sage": True,
    }


def test_what_the_same_gpu_showed_to_bring_nothing_is_not_advised(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", measures={STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 51.0}})
    for environment, advised in ((GPU, "attention"), (OTHER_GPU, "compile: repeated_blocks")):
        useless = steady_case(tmp_path, "useless", environment=environment, **COMPILED)
        assert rules(own, useless)["kernel_bound"].advised == ((advised,),)
