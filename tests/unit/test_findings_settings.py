"""Findings from other cases of the same report: what a setting did not do, and what another would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports import findings, rules, steady_case
from traces import GPU
from wanbench.trace.reader import Trace

STEPS = r"Step_\d+_Inference"
OTHER_GPU = GPU | {"gpu": GPU["gpu"] | {"uuid": "GPU-1"}}


# --- no effect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "with_it", "without", "fires"),
    [
        ({"compile": "repeated_blocks"}, {"step_s": 1.99}, {}, True),
        ({"compile": "repeated_blocks"}, {"step_s": 1.6}, {}, False),
        ({"attention": "_native_flash"}, {"step_s": 2.01}, {}, True),
        ({"attention": "_native_flash"}, {"step_s": 1.9}, {}, False),
        ({"attention": "_native_flash"}, {"step_s": 2.1}, {}, True),
        ({"attention": "_native_flash"}, {"step_s": 2.1}, {"environment": OTHER_GPU}, False),
        ({"compile": "repeated_blocks"}, {"step_s": 2.1}, {"steps": 9}, True),
        ({"vae_tiling": True}, {"peak_gb": 40}, {"environment": OTHER_GPU}, False),
        ({"vae_tiling": True}, {"peak_gb": 39.9}, {}, True),
        ({"vae_tiling": True}, {"peak_gb": 30}, {}, False),
        ({"vae_dtype": "bfloat16"}, {"peak_gb": 40}, {}, True),
        ({"vae_dtype": "bfloat16"}, {"peak_gb": 35}, {}, False),
        ({"offload": "model"}, {"peak_gb": 40}, {}, True),
        ({"offload": "model"}, {"peak_gb": 25}, {}, False),
        # No case without the setting that could be held against it.
        ({"vae_tiling": True}, {}, {"settings": {"dtype": "float16"}}, False),
    ],
)
def test_a_setting_without_effect(
    tmp_path: Path, settings: dict[str, Any], with_it: dict[str, Any], without: dict[str, Any], fires: bool
) -> None:
    own = steady_case(tmp_path, "own", settings=settings, **with_it)
    plain = steady_case(tmp_path, "plain", **without)
    found = rules(own, plain)
    assert ("no_effect" in found) == fires
    if fires:
        (key, value), *_ = settings.items()
        assert f"`{key}: {str(value).lower()}`" in found["no_effect"].text
        assert "case plain with" in found["no_effect"].text
    assert "no_effect" not in rules(plain, own)


def test_a_setting_that_makes_it_worse_is_named_so(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", step_s=2.1, settings={"attention": "_native_flash"})
    finding = rules(own, steady_case(tmp_path, "plain"))["no_effect"]
    assert finding.text.endswith("the setting makes steps 5.0 % longer here.")
    assert finding.advised == (("attention: native",),)


@pytest.mark.parametrize(("reused", "fires"), [(0, True), (1, False)])
def test_a_cache_that_never_served(tmp_path: Path, reused: int, fires: bool) -> None:
    measures = {STEPS: {"passes_reused": reused}}
    found = rules(steady_case(tmp_path, "own", settings={"cache": "first_block"}, measures=measures))
    assert ("no_effect" in found) == fires
    if fires:
        assert found["no_effect"].evidence == {"passes_reused": 0.0, "passes": 8.0}
        assert "These weights are random" in found["no_effect"].text


# --- gains ------------------------------------------------------------------------------------------------------


def test_a_faster_neighbour_is_told_with_what_it_costs(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    faster = steady_case(tmp_path, "faster", step_s=2.0, peak_gb=41, steps=8)
    finding = rules(own, faster)["faster_elsewhere"]
    # 4 steps of 4 s against 4 of 2 s, and 4.75 s for the rest of either.
    assert finding.evidence == pytest.approx(
        {
            "speed_ratio": 20.75 / 12.75,
            "official_steps_speed_ratio": (20.75 + 46 * 4) / (12.75 + 46 * 2),
            "gpu_mem_change_bytes": 21e9,
        }
    )
    assert finding.text.startswith(
        "Case faster differs in `offload: none` and in its 8 steps, and is 1.63x faster per generation of 4 steps "
        "(scaled from 8 steps) and 1.95x faster at the official 50 steps (scaled), 2.00 s/step instead of 4.00, "
        "21.00 GB more GPU memory"
    )
    alike = rules(own, steady_case(tmp_path, "alike"))["faster_elsewhere"]
    assert alike.text.startswith("Case alike differs only in `offload: none` and is 1.63x faster")
    assert "faster_elsewhere" not in rules(faster, own)


def test_a_neighbour_that_is_hardly_faster_is_not_told(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=2.05, peak_gb=20)
    assert "faster_elsewhere" not in rules(own, steady_case(tmp_path, "hardly"))


def cold_start(longer_s: float) -> Callable[[dict[str, Any]], None]:
    """A first generation whose first step is longer."""

    def alter(content: dict[str, Any]) -> None:
        for event in (event for event in content["traceEvents"] if event.get("cat") == "stage"):
            args = event["args"]
            first_step = event["name"] == "Step_0_Inference" and args["generation"] == 0
            args["time_s"] += longer_s if first_step or event["name"] == "Total_Execution" else 0

    return alter


def test_a_cold_case_is_held_against_the_cold_generation_of_a_warm_one(tmp_path: Path) -> None:
    """As 5B_704p_group_stream, of which nothing said that 5B_704p_warm is faster: both have a cold generation."""
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    warm = steady_case(tmp_path, "warm", settings={"repeats": 2}, alter=cold_start(3.0))
    finding = rules(own, warm)["faster_elsewhere"]
    # 20.75 s against 12.75 and 3 s of a cold start.
    assert finding.evidence["speed_ratio"] == pytest.approx(20.75 / 15.75)
    assert " is 1.32x faster per generation of 4 steps (cold against cold) and 1.90x faster at" in finding.text


def test_what_is_slower_in_a_preview_and_faster_in_full_use_is_told(tmp_path: Path) -> None:
    """As T2V_A14B_480p_4_gpus_compiled of three steps, the first of which is long; 40 are 1.1 times as fast."""
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    slow_start = steady_case(tmp_path, "slow_start", settings={"repeats": 2}, alter=cold_start(9.0))
    finding = rules(own, slow_start)["faster_elsewhere"]
    assert " is 1.05x slower per generation of 4 steps (cold against cold) and 1.80x faster at the" in finding.text
    slower = steady_case(tmp_path, "slower", settings={"repeats": 2}, step_s=3.9, alter=cold_start(9.0))
    assert "faster_elsewhere" not in rules(own, slower)


def test_warm_cases_are_compared_warm(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", settings={"offload": "group", "repeats": 2}, step_s=4.0, peak_gb=20)
    warm = steady_case(tmp_path, "warm", settings={"repeats": 2}, alter=cold_start(9.0))
    finding = rules(own, warm)["faster_elsewhere"]
    assert finding.evidence["speed_ratio"] == pytest.approx(20.75 / 12.75)
    assert "against" not in finding.text


def test_what_is_faster_at_a_cost_of_quality_hides_nothing(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", step_s=8.0)
    cudnn = steady_case(tmp_path, "cudnn", step_s=4.0, settings={"attention": "_native_cudnn"})
    sage = steady_case(tmp_path, "sage", step_s=2.0, settings={"attention": "sage"})
    texts = [each.text for each in findings(own, cudnn, sage)["own"] if each.rule == "faster_elsewhere"]
    assert [text.partition(" and is ")[0] for text in texts] == [
        "Case cudnn differs only in `attention: _native_cudnn`",
        "Case sage differs only in `attention: sage` (lossy)",
    ]


def test_another_gpu_shows_only_what_is_far_beyond_what_two_differ_by(tmp_path: Path) -> None:
    """As T2V_A14B_480p_group beside group_stream on another H200: 57.78 s/step and 7.08, in the same memory."""
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    faster = steady_case(tmp_path, "faster", environment=OTHER_GPU)
    text = rules(own, faster)["faster_elsewhere"].text
    assert text.startswith("Case faster (on another GPU of this kind) differs only in `offload: none` and is 1.63x")
    a_little = steady_case(tmp_path, "a_little", environment=OTHER_GPU, step_s=3.0)
    assert "faster_elsewhere" in rules(own, steady_case(tmp_path, "here", step_s=3.0))
    assert "faster_elsewhere" not in rules(own, a_little)


def test_another_gpu_shows_nothing_of_settings_that_act_on_steps_alone(tmp_path: Path) -> None:
    """As T2V_A14B_480p_offload_compiled: the other GPU's host copies faster, and compiling had no part in it."""
    own, compiled = steady_case(tmp_path, "own", step_s=4.0), {"settings": {"compile": "repeated_blocks"}}
    assert "faster_elsewhere" in rules(own, steady_case(tmp_path, "compiled", **compiled))
    assert "faster_elsewhere" not in rules(own, steady_case(tmp_path, "there", environment=OTHER_GPU, **compiled))


def test_a_setting_that_another_value_of_it_beats_is_not_named(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=8.0, peak_gb=20)
    fast = steady_case(tmp_path, "fast", settings={"offload": "group_stream"}, step_s=2.0, peak_gb=20)
    for peak_gb, named in ((20, ["fast"]), (15, ["fast", "small"])):
        small = steady_case(tmp_path, "small", settings={"offload": "sequential"}, step_s=4.0, peak_gb=peak_gb)
        texts = [each.text for each in findings(own, fast, small)["own"] if each.rule == "faster_elsewhere"]
        assert [text.split()[1] for text in texts] == named


def test_what_is_faster_in_a_preview_alone_is_not_claimed(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", steps=12, peak_gb=30, settings={"vae_tiling": True}, decode_s=9.0)
    assert "faster_elsewhere" in rules(own, steady_case(tmp_path, "faster", steps=12))
    assert "faster_elsewhere" not in rules(own, steady_case(tmp_path, "slower_steps", steps=12, step_s=2.2))


def test_a_gain_from_another_gpu_says_so_and_is_of_the_steps_alone(tmp_path: Path) -> None:
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 51.0}}
    own = steady_case(tmp_path, "own", measures=busy)
    compiled = {"step_s": 1.5, "settings": {"compile": "repeated_blocks"}, "compile_s": 10.0}
    advice = rules(own, steady_case(tmp_path, "compiled", environment=OTHER_GPU, **compiled))["kernel_bound"].advice
    assert advice.endswith(
        "Measured here: `compile: repeated_blocks` (case compiled, on another GPU of this kind): 1.50 s/step instead "
        "of 2.00, after 10.00 s of compilation once for each process, the same GPU memory."
    )


@pytest.mark.parametrize("environment", [GPU, OTHER_GPU], ids=["same GPU", "another"])
def test_advice_that_was_measured_to_bring_nothing(tmp_path: Path, environment: dict[str, Any]) -> None:
    """As `_native_cudnn` on 5B_704p_compiled: dropped where the GPU is the same, else told as it was."""
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 51.0}}
    useless = steady_case(tmp_path, "useless", environment=environment, settings={"compile": "repeated_blocks"})
    finding = rules(steady_case(tmp_path, "own", measures=busy), useless)["kernel_bound"]
    if environment is GPU:
        assert finding.advised == (("attention",),)
        assert "compile" not in finding.advice
    else:
        assert finding.advised == (("compile: repeated_blocks",),)
        assert (
            "Measured here without a clear gain in speed: `compile: repeated_blocks` (case useless, on"
            in finding.advice
        )


def test_what_two_gpus_differ_by_is_no_gain(tmp_path: Path) -> None:
    """As `native` on 5B_704p_cudnn_compiled, whose steps on another GPU are 2 % shorter."""
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    own = steady_case(tmp_path, "own", 2.04, settings={"attention": "_native_cudnn"}, measures=busy)
    elsewhere = rules(own, steady_case(tmp_path, "native", environment=OTHER_GPU))["compute_bound"].advice
    assert "Measured here without a clear gain in speed: `attention: native` (case native, on another" in elsewhere
    assert "Measured here: `attention: native`" in rules(own, steady_case(tmp_path, "here"))["compute_bound"].advice


def test_what_group_offloading_costs_is_told(tmp_path: Path) -> None:
    def offloaded(name: str, offload: str, step_s: float, placement_s: float, host_gb: float) -> Trace:
        def place(content: dict[str, Any]) -> None:
            (event,) = (event for event in content["traceEvents"] if event["name"] == "Model_Initialization")
            detail = {"name": "Placement", "cat": "detail", "dur": placement_s * 1e6, "args": {}}
            content["traceEvents"].append(event | detail)

        host = {".*": {"process_mem_bytes": host_gb * 1e9, "sys_mem_bytes": (host_gb + 1) * 1e9}}
        return steady_case(tmp_path, name, step_s, settings={"offload": offload}, measures=host, alter=place)

    own, streamed = offloaded("own", "model", 4.0, 0.07, 28), offloaded("streamed", "group_stream", 2.0, 31.14, 39)
    text = rules(own, streamed)["faster_elsewhere"].text
    assert "31.14 s instead of 0.07 to place the weights once for each process" in text
    assert "the same GPU memory, 11.00 GB more host memory" in text


def test_host_memory_is_compared_by_one_measure_and_without_pages_that_processes_share(tmp_path: Path) -> None:
    """As T2V_A14B_480p_2_gpus_compiled on H100s: the processes add up to 35.14 GB, and the machine used 10.20."""

    def held(name: str, process_gb: float, machine_gb: float, step_s: float, **settings: str) -> Trace:
        host = {".*": {"process_mem_bytes": process_gb * 1e9, "sys_mem_bytes": machine_gb * 1e9}}
        return steady_case(tmp_path, name, step_s, settings=settings, measures=host)

    eager = held("eager", 5.72, 5.85, 4.0)
    text = rules(eager, held("compiled", 35.14, 10.20, 2.0, compile="repeated_blocks"))["faster_elsewhere"].text
    assert ", 4.35 GB more host memory" in text


def test_energy_is_told_at_the_official_steps_too(tmp_path: Path) -> None:
    """As H200's 01_Speed_Preview_704p: streaming saves the energy of moving, once, and costs more in each step."""

    def case(name: str, offload: str, steps: int, step_j: float, rest_j: float) -> Trace:
        energy = {r"Step_\d+_Inference": {"energy_j": step_j}, "VAE_Decoding": {"energy_j": rest_j}}
        # Stages of no energy of their own would make that of a generation unknown.
        other = {"TI2V_Preprocess|T5_Encoding|Video_Export": {"energy_j": 0.0}}
        longer = {"decode_s": 12.0} if offload == "model" else {}
        return steady_case(
            tmp_path, name, steps=steps, settings={"offload": offload}, measures=energy | other, **longer
        )

    own, streamed = case("own", "model", 5, 1600, 8000), case("streamed", "group_stream", 4, 1800, 5000)
    text = rules(own, streamed)["faster_elsewhere"].text
    # 16000 J against 14000 at 5 steps, and 88000 against 95000 at 50.
    assert text.endswith("12 % less energy (8 % more at the official 50 steps).")
    official = case("official", "model", 50, 1600, 8000)
    assert rules(official, streamed)["faster_elsewhere"].text.endswith(" 8 % more energy.")
    alike = case("alike", "group_stream", 5, 1600, 5000)
    text = rules(own, alike)["faster_elsewhere"].text
    assert text.endswith("19 % less energy (3 % less at the official 50 steps).")


def test_lower_precision_is_marked_as_lossy(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", steps=12, decode_s=9.0)
    text = rules(own, steady_case(tmp_path, "half", steps=12, settings={"vae_dtype": "bfloat16"}))[
        "faster_elsewhere"
    ].text
    assert "differs only in `vae_dtype: bfloat16` (lossy) and is" in text


def test_advice_is_completed_by_what_was_measured_and_not_told_twice(tmp_path: Path) -> None:
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    own = steady_case(tmp_path, "own", measures=busy)
    compiled = steady_case(tmp_path, "compiled", 1.5, 40, settings={"compile": "repeated_blocks"}, compile_s=10.0)
    found = rules(own, compiled)
    assert (
        "Measured here: `compile: repeated_blocks` (case compiled): 1.19x faster per generation of 4 steps and 1.31x "
        "faster at the official 50 steps (scaled), 1.50 s/step instead of 2.00, after 10.00 s of compilation once for "
        "each process, the same GPU memory."
    ) in found["compute_bound"].advice
    assert "faster_elsewhere" not in found
    assert "Measured here" not in rules(own)["compute_bound"].advice


def test_advice_of_a_cache_is_completed_whatever_its_threshold(tmp_path: Path) -> None:
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    own = steady_case(tmp_path, "own", measures=busy, settings={"weights": "pretrained"})
    cached = steady_case(tmp_path, "cached", 1.0, settings={"weights": "pretrained", "cache": "first_block"})
    found = rules(own, cached)
    assert (
        "Measured here: `cache: first_block, cache_threshold: 0.05` (lossy) (case cached)"
        in found["compute_bound"].advice
    )
    assert "faster_elsewhere" not in found


def test_of_equal_neighbours_the_fastest_speaks(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    slow, fast = steady_case(tmp_path, "slow", step_s=2.5), steady_case(tmp_path, "fast", step_s=2.0)
    assert "Case fast " in rules(own, slow, fast)["faster_elsewhere"].text


def test_the_same_case_under_another_name_is_no_finding(tmp_path: Path) -> None:
    own = steady_case(tmp_path, "own")
    twin = steady_case(tmp_path, "twin", step_s=1.0)
    assert "faster_elsewhere" not in rules(own, twin)
