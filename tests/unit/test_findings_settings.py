"""Findings from one-factor pairs: a cache or more GPUs that bring little, and what would be faster."""

from pathlib import Path
from typing import Any

import pytest

from reports import findings, fired, rules, steady_case
from traces import GPU, gpu_with

STEPS = r"Step_\d+_Inference"
OTHER_GPU = gpu_with(uuid="GPU-1")
GROUP = {"settings": {"offload": "group"}, "peak_gb": 20}
COMPILED = {"settings": {"compile": "repeated_blocks"}}


@pytest.mark.parametrize(("reused", "fires"), [(0, True), (1, False)])
def test_a_cache_that_never_served(tmp_path: Path, reused: int, fires: bool) -> None:
    measures = {STEPS: {"passes_reused": reused}}
    found = rules(steady_case(tmp_path, "own", settings={"cache": "first_block"}, measures=measures))
    assert ("no_effect" in found) == fires
    if fires:
        assert found["no_effect"].evidence == {"passes_reused": 0.0, "passes": 8.0}


# --- what would be faster ---------------------------------------------------------------------------------------


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


def test_what_is_faster_is_told_with_what_it_costs(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", step_s=4.0, **GROUP)
    finding = rules(own, steady_case(tmp_path, "faster", peak_gb=41, environment=OTHER_GPU))["faster_setting"]
    ratio = (4.75 + 50 * 4) / (4.75 + 50 * 2)
    assert finding.evidence == pytest.approx({"speed_ratio": ratio, "gpu_mem_change_bytes": 21e9})
    for words in ("`offload: none`", "of 50 steps 1.95x as fast", "+21.0 GB", "case faster, on another GPU"):
        assert words in finding.text
    assert finding.advised == (("offload: none",),)


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


@pytest.mark.parametrize(("environment", "advised"), [(GPU, "attention"), (OTHER_GPU, "compile: repeated_blocks")])
def test_what_the_same_gpu_showed_to_bring_nothing_is_not_advised(
    tmp_path: Path, environment: dict[str, Any], advised: str
) -> None:
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 51.0}}
    useless = steady_case(tmp_path, "useless", environment=environment, **COMPILED)
    own = steady_case(tmp_path, "own", measures=busy)
    assert rules(own, useless)["kernel_bound"].advised == ((advised,),)


def test_what_several_gpus_brought(tmp_path: Path) -> None:
    energy = {STEPS: {"energy_j": 1400}, "T5_Encoding|TI2V_Preprocess|Video_Export|VAE_Decoding": {"energy_j": 0}}
    one = steady_case(tmp_path, "one", measures=energy)
    two = steady_case(tmp_path, "two", 1.0, settings={"gpus": 2}, measures=energy | {STEPS: {"energy_j": 1540}})
    (finding,) = (each for each in findings(one, two)["two"] if each.rule == "parallel_efficiency")
    ratio = 104.75 / 54.75
    assert finding.evidence == pytest.approx(
        {"gpus": 2, "speed_ratio": ratio, "efficiency_pct": 50 * ratio, "energy_change_pct": 10, "step_speed_ratio": 2}
    )
    for words in ("2 GPUs", "1.91x as fast as one (case one)", "96 % parallel efficiency", "energy +10 %"):
        assert words in finding.text
    assert not {"parallel_efficiency", "faster_setting"} & rules(one, two).keys()
    assert "parallel_efficiency" not in rules(two)
