"""Findings about where the time goes outside the steps that are alike."""

import re
from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from traces import GPU, HOST

EXPERTS = ["high_noise"] * 3 + ["low_noise"] * 2


def found(folder: Path, model: str = "TI2V-5B", **options: Any) -> dict[str, Any]:
    settings = {"steps": 5} | options.pop("settings", {})
    return rules(made(folder, full_case(model=model, **settings), **options))


def test_decoding_without_the_weights_that_move_in_it(tmp_path: Path) -> None:
    assert found(tmp_path, decode_s=20.0)["dominant_stage"].evidence["time_s"] == 20.0
    moving = {"VAE_Decoding": {"transfers": 1, "offloading_s": 18.0, "offloaded_bytes": 1}}
    assert "dominant_stage" not in found(tmp_path, decode_s=20.0, measures=moving)
    assert "dominant_stage" not in found(tmp_path, decode_s=2.0)


def test_the_making_of_random_weights_is_no_part_of_the_whole(tmp_path: Path) -> None:
    """As 5B_704p_group_stream: 11 s of decoding beside 31 s of placing weights that were made up."""
    finding = found(tmp_path, decode_s=8.0, init_s=40.0)["dominant_stage"]
    # Half a second to encode, a quarter to prepare, five steps of 2 s, 1 s to export.
    assert finding.evidence["share_pct"] == pytest.approx(100 * 8 / 19.75)
    assert (
        "41 % of Total_Execution without Model_Initialization (5 steps; with the official 50 it would be"
        in finding.text
    )
    loaded = found(tmp_path, decode_s=8.0, init_s=40.0, settings={"weights": "pretrained"})
    assert loaded["dominant_stage"].text.startswith("Model_Initialization takes 40.00 s, 67 % of Total_Execution")


def test_tiling_is_only_excluded_where_the_memory_is_there(tmp_path: Path) -> None:
    def advice(size_gb: int) -> tuple:
        gpu = GPU | {"gpu": GPU["gpu"] | {"mem_total_bytes": size_gb * 10**9}}
        return found(tmp_path, decode_s=20.0, environment=gpu, settings={"vae_tiling": True})["dominant_stage"].advised

    assert ("vae_tiling: false",) in advice(80)
    assert ("vae_tiling: false",) not in advice(40)


def test_half_the_precision_of_the_vae_is_named(tmp_path: Path) -> None:
    advice = found(tmp_path, decode_s=20.0)["dominant_stage"].advice
    assert advice == "`vae_dtype: bfloat16` halves the bytes it reads and writes (lossy: lower precision of the VAE)."


def test_lower_precision_is_no_advice_for_speed_on_the_cpu(tmp_path: Path) -> None:
    finding = found(tmp_path, decode_s=20.0, environment=HOST)["dominant_stage"]
    assert finding.advised == ()
    assert finding.advice == "More steps or longer videos make its share smaller, not its time."


def test_compilation_can_dominate(tmp_path: Path) -> None:
    finding = found(tmp_path, compile_s=30.0, settings={"compile": "repeated_blocks"})["dominant_stage"]
    assert finding.text.startswith("Compilation takes 30.00 s")
    assert finding.advised == ()


def test_all_generations_count_for_a_share(tmp_path: Path) -> None:
    finding = found(tmp_path, decode_s=20.0, settings={"repeats": 3})["dominant_stage"]
    assert finding.evidence["time_s"] == 60.0
    assert finding.text.startswith("VAE_Decoding takes 60.00 s in 3 generations, ")
    assert found(tmp_path, decode_s=20.0)["dominant_stage"].text.startswith("VAE_Decoding takes 20.00 s, ")


def test_weights_that_are_long_in_being_placed(tmp_path: Path) -> None:
    """As T2V_A14B_480p_group_stream: 83 s to place what then makes a video of three steps in 30 s."""

    def placed(seconds: float, **settings: Any) -> Any:
        def place(trace: dict) -> None:
            start = next(event for event in trace["traceEvents"] if event["name"] == "Model_Initialization")
            detail = {"name": "Placement", "cat": "detail", "dur": seconds * 1e6, "args": {}}
            trace["traceEvents"].append(detail | {key: start[key] for key in ("ph", "ts", "pid", "tid")})

        return found(tmp_path, init_s=100.0, alter=place, settings=settings).get("slow_placement")

    finding = placed(83.0, offload="group_stream")
    # A generation of five steps of 2 s takes 14.75 s, and one of fifty 104.75.
    assert finding.evidence == pytest.approx(
        {"placement_s": 83, "share_pct": 100 * 83 / 97.75, "official_steps_share_pct": 100 * 83 / 187.75}
    )
    assert finding.severity == "bottleneck"
    assert finding.text == (
        "Placing the weights as `offload: group_stream` wants them (Placement, in Model_Initialization) takes 83.00 s, "
        "85 % of that and the first generation of 5 steps together (with the official 50 it would be 44 %)."
    )
    assert "page-locked memory" in finding.advice
    assert placed(20.0, offload="group_stream").severity == "note"
    assert "page-locked" not in placed(83.0, offload="sequential").advice
    assert placed(5.0, offload="group_stream") is None


def test_an_expert_that_is_loaded_at_the_switch(tmp_path: Path) -> None:
    loading = {"Step_3_Loading": {"time_s": 6.0}}
    steps_s = [2.0, 2.0, 2.0, 8.0, 2.0]
    options = {"model": "T2V-A14B", "experts": EXPERTS, "settings": {"steps": 5, "offload": "model"}}

    def moved(trace: dict[str, Any]) -> None:
        for event in trace["traceEvents"]:
            if event["name"] == "Step_3_Inference":
                event["args"]["time_s"] = 2.0

    finding = found(tmp_path, steps_s=steps_s, measures=loading, alter=moved, **options)["expert_switch"]
    assert finding.evidence == pytest.approx(
        {"switch_step_s": 8.0, "step_s": 2.0, "extra_s": 6.0, "loading_s": 6.0, "typical_loading_s": 0.0}
        | {"share_pct": 100 * 6 / 20.75, "official_steps_share_pct": 100 * 6 / (20.75 + 35 * 2)}
    )
    assert "(29 % of a generation of 5 steps; with the official 40 it would be 7 %)" in finding.text
    assert finding.severity == "bottleneck"
    assert finding.advised == (("offload: none",),)
    small = GPU | {"gpu": GPU["gpu"] | {"mem_total_bytes": 40 * 10**9}}
    too_small = found(tmp_path, steps_s=steps_s, measures=loading, alter=moved, environment=small, **options)
    assert too_small["expert_switch"].advised == ()
    assert "too much for the 40.00 GB of this GPU" in too_small["expert_switch"].advice
    assert "expert_switch" not in found(tmp_path, steps_s=[2.0] * 5, **options)
    assert "expert_switch" not in found(tmp_path, steps_s=steps_s)


def switched(folder: Path, loading: dict[str, Any], **options: Any) -> Any:
    """The finding about a switch that takes 3 s more than a step of 2 s, with offload, unless options differ."""
    settings = {"settings": {"steps": 5, "offload": "model"}, "steps_s": [2.0, 2.0, 2.0, 5.0, 2.0], "experts": EXPERTS}
    return found(folder, "T2V-A14B", measures=loading, **settings | options).get("expert_switch")


def test_a_switch_that_is_short_beside_the_official_steps_is_a_note(tmp_path: Path) -> None:
    finding = switched(tmp_path, {"Step_3_Loading": {"time_s": 3.0}}, steps_s=[2.0] * 5)
    assert finding.severity == "note"
    assert finding.text.endswith("with the official 40 it would be 3 %); 3.00 s of the step move weights.")
    assert finding.advised == (("offload: none",),)


def test_a_switch_that_takes_longer_without_weights_that_move_is_not_for_want_of_memory(tmp_path: Path) -> None:
    few, official = {"Step_3_Loading": {"time_s": 0.6}}, {"steps": 40, "offload": "model"}
    seldom = {"experts": ["high_noise"] * 26 + ["low_noise"] * 14, "steps_s": [2.0] * 26 + [22.0] + [2.0] * 13}
    for finding in (switched(tmp_path, few), switched(tmp_path, {}, settings=official, **seldom)):
        assert (finding.severity, finding.advised) == ("note", ())
        assert "Without offload" not in finding.advice
        assert finding.advice.startswith("The rest is not the weights: kernels are loaded and chosen when an expert")
        assert finding.advice.endswith("and compare warm generations (`warmup: 1`).")
    assert "s of the step move weights." in finding.text
    # Every step of a sequential case moves weights: those that a typical one moves as well are not the switch's.
    as_ever = {r"Step_\d_Loading": {"time_s": 1.5, "loading_s": 1.5}}
    sequential = switched(tmp_path, as_ever, settings={"steps": 5, "offload": "sequential"})
    assert (sequential.severity, sequential.advised) == ("note", ())
    assert sequential.text.endswith("; 1.50 s of the step move weights, and 1.50 s of a typical one.")


def test_warm_generations_are_not_asked_for_where_they_are(tmp_path: Path) -> None:
    finding = switched(tmp_path, {}, settings={"steps": 5, "warmup": 1, "repeats": 2})
    assert finding.advice == "The rest is not the weights."


def test_nothing_is_said_of_the_switch_on_the_cpu(tmp_path: Path) -> None:
    """As a tiny case of five steps of which the one with the switch was disturbed: nothing moves there."""
    for offload in ("model", "sequential", "none"):
        assert switched(tmp_path, {}, settings={"steps": 5, "offload": offload}, environment=HOST) is None


def test_a_slow_first_step(tmp_path: Path) -> None:
    finding = found(tmp_path, steps_s=[5.0, 2.0, 2.0, 2.0, 2.0], environment=GPU)["slow_first_step"]
    assert finding.evidence == {"first_s": 5.0, "typical_s": 2.0, "extra_s": 3.0}
    assert "slow_first_step" not in found(tmp_path, steps_s=[2.1, 2.0, 2.0, 2.0, 2.0])


def test_a_typical_step_is_one_of_all_and_not_of_their_medians(tmp_path: Path) -> None:
    """As a tiny case of four steps whose times scattered: 0.57 s more than a typical one, and 0.62 in its table."""

    def scatter(content: dict[str, Any]) -> None:
        steps = [event for event in content["traceEvents"] if re.fullmatch(r"Step_\d+_Inference", event["name"])]
        for event, time_s in zip(steps, [5.0, 1.0, 1.0, 5.0, 1.0, 2.0, 5.0, 4.0, 9.0]):
            event["args"]["time_s"] = time_s

    finding = found(tmp_path, steps_s=[5.0, 2.0, 2.0], settings={"repeats": 3}, alter=scatter)["slow_first_step"]
    # The cold generation does not count: 1, 2, 4 and 9 s.
    assert finding.evidence["typical_s"] == 3.0


def test_a_slow_first_step_is_of_the_cold_generation_and_asks_for_no_more_than_is_done(tmp_path: Path) -> None:
    alone = found(tmp_path, steps_s=[5.0, 2.0, 2.0, 2.0, 2.0])["slow_first_step"]
    assert "the first step of the first (cold) generation takes 5.00 s" in alone.text
    assert alone.advice == "Generate more than one video per start, and compare warm generations (`warmup: 1`)."
    warm = found(tmp_path, steps_s=[5.0, 2.0, 2.0, 2.0, 2.0], settings={"warmup": 1, "repeats": 2})["slow_first_step"]
    assert (warm.text, warm.advice) == (alone.text, "")


def test_a_share_that_is_small_at_the_official_steps_is_a_note(tmp_path: Path) -> None:
    preview = found(tmp_path, decode_s=20.0)["dominant_stage"]
    assert "with the official 50 it would be 16 %" in preview.text
    assert preview.severity == "note"
    longer = found(tmp_path, decode_s=90.0)["dominant_stage"]
    assert "with the official 50 it would be 47 %" in longer.text
    assert longer.severity == "bottleneck"
    assert found(tmp_path, decode_s=120.0, settings={"steps": 50})["dominant_stage"].severity == "bottleneck"


def test_advice_that_is_no_setting_says_so(tmp_path: Path) -> None:
    encoding = {"T5_Encoding": {"time_s": 40.0}}
    advice = found(tmp_path, measures=encoding)["dominant_stage"].advice
    assert advice.startswith("No setting here changes it: in your own code with diffusers")


def test_compilation_and_loading_are_no_part_of_a_slow_first_step(tmp_path: Path) -> None:
    assert "slow_first_step" not in found(tmp_path, compile_s=30.0, settings={"compile": "repeated_blocks"})


# --- with a cache -----------------------------------------------------------------------------------------------

CACHED = {"cache": "first_block", "cache_threshold": 1.0, "weights": "pretrained"}


@pytest.mark.parametrize("first_s", [3.5, 2.5])
def test_a_first_step_is_held_against_those_that_a_cache_did_not_shorten(tmp_path: Path, first_s: float) -> None:
    """As 5B_704p_cache, whose first step was said to take 3.42 s more than a typical one, and took 1.15 more."""
    measures = {r"Step_[123]_Inference": {"passes_reused": 2}, r"Step_[04]_Inference": {"passes_reused": 0}}
    times_s = [first_s, 0.1, 0.1, 0.1, 2.4]
    rules_found = found(tmp_path, settings=CACHED, steps_s=times_s, measures=measures)
    assert ("slow_first_step" in rules_found) == (first_s == 3.5)
    if first_s == 3.5:
        finding = rules_found["slow_first_step"]
        assert finding.evidence["extra_s"] == pytest.approx(1.1)
        assert "1.10 s more than of a typical one that the cache did not shorten" in finding.text


def test_a_first_step_that_nothing_compares_with_is_not_judged(tmp_path: Path) -> None:
    measures = {r"Step_[1234]_Inference": {"passes_reused": 2}}
    assert "slow_first_step" not in found(tmp_path, settings=CACHED, steps_s=[9.0, *[0.1] * 4], measures=measures)


@pytest.mark.parametrize("switch_s", [2.1, 6.0])
def test_a_switch_of_experts_is_held_against_those_that_a_cache_did_not_shorten(
    tmp_path: Path, switch_s: float
) -> None:
    """The second expert has a cache of its own, which is empty when it begins."""
    reused = {r"Step_[14]_Inference": {"passes_reused": 2}, r"Step_[023]_Inference": {"passes_reused": 0}}
    times_s = [2.1, 0.1, 2.0, switch_s, 0.1]
    options = {"settings": CACHED, "steps_s": times_s, "measures": reused, "experts": EXPERTS}
    rules_found = found(tmp_path, model="T2V-A14B", **options)
    assert ("expert_switch" in rules_found) == (switch_s == 6.0)
    if switch_s == 6.0:
        assert rules_found["expert_switch"].evidence["extra_s"] == pytest.approx(4.0)


@pytest.mark.parametrize(("weights", "told"), [("random", False), ("pretrained", True)])
def test_what_a_cache_would_do_at_more_steps_is_not_known_of_random_weights(
    tmp_path: Path, weights: str, told: bool
) -> None:
    finding = found(tmp_path, decode_s=20.0, settings=CACHED | {"weights": weights})["dominant_stage"]
    assert ("with the official 50" in finding.text) == told


def test_on_the_cpu_a_slow_first_step_is_no_finding(tmp_path: Path) -> None:
    times_s = [6.0, 2.0, 2.0, 2.0, 2.0]
    assert "slow_first_step" in found(tmp_path, steps_s=times_s)
    assert "slow_first_step" not in found(tmp_path, steps_s=times_s, environment=HOST)
