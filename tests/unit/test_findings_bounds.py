"""Findings about what the GPU waits for, and about its own limits."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules, steady_case
from traces import GPU, HOST

# Shares in percent of 16 logical cores: one core, and a tenth of one.
ONE_CORE, IDLE = {"process_cpu_pct": 6.25}, {"process_cpu_pct": 0.6}
STEPS = r"Step_\d+_Inference"


def activity(sm: float, tensor: float = 0.0, dram: float = 0.0) -> dict[str, float]:
    return {"sm_activity_pct": sm, "tensor_activity_pct": tensor, "dram_activity_pct": dram}


def found(folder: Path, measures: dict[str, dict[str, Any]], **options: Any) -> dict[str, Any]:
    settings = {"steps": 4} | options.pop("settings", {})
    return rules(made(folder, full_case(**settings), measures=measures, **options))


def test_low_activity_of_denoising(tmp_path: Path) -> None:
    finding = found(tmp_path, {STEPS: activity(40.0)})["low_sm_inference"]
    assert finding.evidence == {"sm_activity_pct": 40.0, "official_steps_share_pct": pytest.approx(40.0)} | {
        f"Step_{step}_Inference_idle_s": pytest.approx(1.2) for step in range(3)
    }
    assert "most in Step_0_Inference (2.00 s at 40 %)" in finding.text
    assert "Open the trace in Perfetto" in finding.advice
    assert "low_sm_inference" not in found(tmp_path, {STEPS: activity(90.0)})
    assert "low_sm_inference" not in found(tmp_path, {})


def test_low_activity_of_all_names_where_the_gpu_idles(tmp_path: Path) -> None:
    measures = {"Total_Execution": activity(30.0), "Model_Initialization": activity(0.0), "VAE_Decoding": activity(5.0)}
    finding = found(tmp_path, measures)["low_sm_activity"]
    text = finding.text
    assert "Open the trace in Perfetto" in finding.advice
    moving = found(tmp_path, measures | {"VAE_Decoding": MOVES["VAE_Decoding"]}, settings={"offload": "model"})
    assert "Weights on their way" in moving["low_sm_activity"].advice
    assert "the GPU idles most in VAE_Decoding (3.00 s at 5 %)" in text
    assert "low_sm_activity" not in found(tmp_path, measures | {"Total_Execution": activity(80.0)})


def test_steps_that_have_no_activity_of_their_own_are_named_together(tmp_path: Path) -> None:
    """As T2V_A14B_480p_sequential: its steps are half idle, and decoding was named as what idles most."""
    rest = {
        "TI2V_Preprocess|T5_Encoding|VAE_Decoding|Video_Export": activity(10.0),
        "Model_Initialization": activity(0.0),
    }
    measures = rest | {"Total_Execution": activity(30.0)}
    finding = found(tmp_path, measures, init_s=1.0)["low_sm_activity"]
    # 30 % of 13.75 s, less 10 % of the 4.75 s outside the steps.
    assert "idles most in Step_0_Loading to Step_3_Inference (8.00 s at 46 %), VAE_Decoding (" in finding.text
    assert finding.evidence["Step_0_Loading to Step_3_Inference_idle_s"] == pytest.approx(8 - 0.3 * 13.75 + 0.475)
    assert "Of the stages with a figure" not in finding.text
    # As T2V_A14B_480p_group, of whose steps one part had just enough samples.
    one = found(tmp_path, measures | {"Step_2_Loading": activity(7.0)}, init_s=1.0)["low_sm_activity"]
    assert one.text == finding.text
    several = found(tmp_path, measures, settings={"repeats": 3})["low_sm_activity"].text
    assert "Of the stages with a figure, the GPU idles most in VAE_Decoding (" in several


def test_the_making_of_random_weights_is_no_idling(tmp_path: Path) -> None:
    measures = {"Total_Execution": activity(30.0), "Model_Initialization": activity(0.0)}
    assert "low_sm_activity" not in found(tmp_path, measures, init_s=20.0)


@pytest.mark.parametrize(
    ("measures", "fires"),
    [
        ({STEPS: activity(60.0) | ONE_CORE}, True),
        ({STEPS: activity(60.0) | IDLE}, False),
        ({STEPS: activity(95.0) | ONE_CORE}, False),
        ({STEPS: activity(60.0) | ONE_CORE, "VAE_Decoding": {"transfers": 1, "loading_s": 2.5}}, False),
        ({STEPS: ONE_CORE}, False),
    ],
    ids=["held by launches", "an idle process", "a busy GPU", "weights on the move", "not measured"],
)
def test_launches(tmp_path: Path, measures: dict[str, Any], fires: bool) -> None:
    findings = found(tmp_path, measures)
    assert ("launch_bound" in findings) == fires
    if fires:
        assert findings["launch_bound"].evidence["process_cores"] == pytest.approx(1.0)
        assert findings["launch_bound"].advised == (("compile: repeated_blocks",),)


def test_compiling_is_not_advised_where_it_cannot_be_or_is(tmp_path: Path) -> None:
    for settings in ({"compile": "repeated_blocks"}, {"offload": "group"}):
        finding = found(tmp_path, {STEPS: activity(60.0) | ONE_CORE}, settings=settings)["launch_bound"]
        assert finding.advised == ()


MOVES = {
    "T5_Encoding": {
        "transfers": 1,
        "loading_s": 0.25,
        "offloading_s": 0.0,
        "loaded_bytes": 10**9,
        "offloaded_bytes": 0,
    },
    "VAE_Decoding": {
        "transfers": 2,
        "loading_s": 0.25,
        "offloading_s": 2.0,
        "loaded_bytes": 10**9,
        "offloaded_bytes": 4 * 10**9,
        "pcie_rx_bytes_per_s": 3e9,
        "pcie_tx_bytes_per_s": 2e9,
    },
}


def test_transfers_wherever_they_lie(tmp_path: Path) -> None:
    finding = found(tmp_path, MOVES, settings={"offload": "model"})["transfer_bound"]
    # Half a second to encode, a quarter to prepare, four steps of 2 s, 3 s to decode, 1 s to export.
    assert finding.evidence["share_pct"] == pytest.approx(100 * 2.5 / 12.75)
    assert (finding.evidence["loaded_bytes"], finding.evidence["offloaded_bytes"]) == (2e9, 4e9)
    assert finding.evidence["pcie_rx_bytes_per_s"] == 3e9
    assert finding.text.endswith(
        "50 it would be 2 %): 2.00 GB to the GPU at 4.0 GB/s, 4.00 GB from the GPU at 2.0 GB/s."
    )
    assert finding.advised == (("offload: none",),)


def test_transfers_that_are_few_at_the_official_steps_are_a_note(tmp_path: Path) -> None:
    """As T2V_A14B_720p_offload_compiled on an H100; with `sequential` every step moves weights, however many."""
    preview = found(tmp_path, MOVES, settings={"offload": "model"})["transfer_bound"]
    assert preview.severity == "note"
    # 46 more steps of 2 s.
    assert preview.evidence["official_steps_share_pct"] == pytest.approx(100 * 2.5 / (12.75 + 92))
    assert "of a generation of 4 steps (with the official 50 it would be 2 %):" in preview.text
    whole = found(tmp_path, MOVES, settings={"offload": "model", "steps": 50}, decode_s=20.0, init_s=0.0)
    assert "transfer_bound" not in whole
    in_steps = {STEPS: {"transfers": 9, "loading_s": 1.0, "loaded_bytes": 10**9}}
    each = found(tmp_path, in_steps, settings={"offload": "sequential"})["transfer_bound"]
    assert each.severity == "bottleneck"
    assert each.evidence["official_steps_share_pct"] == pytest.approx(100 * 50 / (12.75 + 92))
    official = found(tmp_path, in_steps, settings={"offload": "sequential", "steps": 50})["transfer_bound"]
    assert (official.severity, "official" in official.text) == ("bottleneck", False)


def test_a_gpu_that_is_busy_at_the_official_steps_is_a_note(tmp_path: Path) -> None:
    measures = {"Total_Execution": activity(30.0), "Model_Initialization": activity(0.0), "VAE_Decoding": activity(5.0)}
    finding = found(tmp_path, measures | {STEPS: activity(95.0)})["low_sm_activity"]
    assert finding.severity == "note"
    assert (
        "Total_Execution without Model_Initialization (4 steps; with the official 50 it would be 88 %)" in finding.text
    )
    assert finding.evidence["VAE_Decoding_idle_s"] == pytest.approx(0.95 * 3)
    idle = found(tmp_path, measures | {STEPS: activity(35.0)})["low_sm_activity"]
    assert idle.severity == "bottleneck"
    assert idle.evidence["official_steps_share_pct"] < 50


def test_what_leaves_the_gpu_at_the_end_is_a_transfer(tmp_path: Path) -> None:
    def offload_all(content: dict[str, Any]) -> None:
        (event,) = (event for event in content["traceEvents"] if event["name"] == "Video_Export")
        detail = {"name": "Offload_All", "cat": "detail", "dur": 0.8e6, "args": {"generation": 0}}
        content["traceEvents"].append(event | detail)

    few = {"VAE_Decoding": {"transfers": 1, "loading_s": 0.5, "loaded_bytes": 10**9}}
    finding = found(tmp_path, few, settings={"offload": "model"}, alter=offload_all)["transfer_bound"]
    assert finding.evidence["share_pct"] == pytest.approx(100 * 1.3 / 12.75)
    assert finding.text.startswith("Moving weights takes 1.30 s, 10 % of a generation of 4 steps (with the official ")
    assert "and what was left on it in 0.80 s at the end (Offload_All)" in finding.text
    # The pipeline asks for it there too, and nothing moves.
    assert "transfer_bound" not in found(tmp_path, few, settings={"offload": "group_stream"}, alter=offload_all)


def test_transfers_are_of_one_generation(tmp_path: Path) -> None:
    settings = {"offload": "model", "warmup": 1, "repeats": 2}
    assert found(tmp_path, MOVES, settings=settings)["transfer_bound"].evidence["loaded_bytes"] == 2e9


def test_nothing_is_transferred_on_the_cpu(tmp_path: Path) -> None:
    assert "transfer_bound" not in found(tmp_path, MOVES, settings={"offload": "sequential"}, environment=HOST)


def test_few_transfers_are_nothing_to_mend(tmp_path: Path) -> None:
    few = {"VAE_Decoding": {"transfers": 1, "loading_s": 0.5, "loaded_bytes": 10**9}}
    assert "transfer_bound" not in found(tmp_path, few, settings={"offload": "model"})
    assert "transfer_bound" not in found(tmp_path, {})


def test_advice_on_transfers_asks_what_the_gpu_can_hold(tmp_path: Path) -> None:
    small = GPU | {"gpu": GPU["gpu"] | {"mem_total_bytes": 25 * 10**9}}
    finding = found(tmp_path, MOVES, settings={"offload": "model"}, environment=small)["transfer_bound"]
    assert finding.advised == (("offload: group_stream",),)
    assert "weights are pinned in the machine's own memory, up to" in finding.advice
    compiled = {"offload": "model", "compile": "repeated_blocks"}
    streamable = found(tmp_path, MOVES, settings=compiled, environment=small)["transfer_bound"]
    # The grid refuses hooks on every layer of compiled blocks.
    assert streamable.advised == (("offload: group_stream", "compile: none"),)
    streamed = found(tmp_path, MOVES, settings={"offload": "group_stream"}, environment=small)["transfer_bound"]
    assert (streamed.advised, "GB/s" in streamed.text) == ((), False)


def test_memory_bandwidth(tmp_path: Path) -> None:
    finding = found(tmp_path, {STEPS: activity(95.0, tensor=15.0, dram=75.0)})["memory_bandwidth_bound"]
    assert finding.evidence == {"dram_activity_pct": 75.0, "tensor_activity_pct": 15.0}
    assert "memory_bandwidth_bound" not in found(tmp_path, {STEPS: activity(95.0, tensor=70.0, dram=75.0)})
    assert "memory_bandwidth_bound" not in found(tmp_path, {STEPS: activity(95.0, tensor=15.0, dram=30.0)})


def test_kernels_between_matrix_products(tmp_path: Path) -> None:
    eager = {STEPS: activity(98.0, tensor=51.0, dram=25.0) | {"flops": 10**15}}
    finding = found(tmp_path, eager)["kernel_bound"]
    assert finding.advised == (("compile: repeated_blocks",),)
    assert finding.evidence["mfu_pct"] > 0
    assert found(tmp_path, eager, settings={"compile": "repeated_blocks"})["kernel_bound"].advised == (("attention",),)
    for other in (activity(98.0, tensor=70.0), activity(80.0, tensor=51.0), activity(98.0, tensor=51.0, dram=75.0), {}):
        assert "kernel_bound" not in found(tmp_path, {STEPS: other})


def test_an_attention_that_is_slower_than_another_is_named_before_other_kernels(tmp_path: Path) -> None:
    """As 5B_704p_native_efficient on an H200: 4.52 s/step, 2.39 with `native`, and compiling would save 0.5."""
    busy = {STEPS: activity(98.0, tensor=37.0)}
    native = steady_case(tmp_path, "native", measures=busy)
    slow = steady_case(tmp_path, "slow", step_s=4.0, settings={"attention": "_native_efficient"}, measures=busy)
    finding = rules(slow, native)["kernel_bound"]
    assert "`attention: _native_efficient` takes more of a step than others do" in finding.text
    assert finding.advised == (("attention: native",),)
    assert "2.00 s/step instead of 4.00" in finding.advice
    sage = steady_case(tmp_path, "sage", step_s=1.0, settings={"attention": "sage"}, measures=busy)
    assert rules(slow, native, sage)["kernel_bound"].advised == (("attention: native",),)
    for alone in (rules(slow), rules(native, slow), rules(native, sage)):
        assert alone["kernel_bound"].advised == (("compile: repeated_blocks",),)


def test_arithmetic_with_its_share_of_the_peak(tmp_path: Path) -> None:
    busy = {STEPS: activity(98.0, tensor=70.0) | {"flops": 10**15}}
    finding = found(tmp_path, busy)["compute_bound"]
    assert finding.severity == "note"
    assert finding.evidence["mfu_pct"] == pytest.approx(100 * 0.5e15 / 989.4e12)
    assert "MFU 50.5 % of 989.4 TFLOP/s (datasheet)." in finding.text
    assert finding.advised_alone == ("compile: repeated_blocks", "attention", "cache: first_block")
    assert "compute_bound" not in found(tmp_path, {STEPS: activity(98.0, tensor=20.0)})
    assert "compute_bound" not in found(tmp_path, {})


def test_arithmetic_has_its_share_of_the_rate_that_was_measured_too(tmp_path: Path) -> None:
    """A board of a lower limit is slower than its datasheet, and products alone do not reach that either."""
    busy = {STEPS: activity(98.0, tensor=70.0) | {"flops": 10**15}}

    def rate(trace: dict[str, Any]) -> None:
        trace["environment"]["matmul_flops_per_s"] = 0.7e15

    finding = found(tmp_path, busy, alter=rate)["compute_bound"]
    assert finding.evidence["mfu_of_measured_pct"] == pytest.approx(100 * 0.5 / 0.7)
    assert "(datasheet) and 71 % of the 700 TFLOP/s measured here." in finding.text
    unknown = GPU | {"gpu": GPU["gpu"] | {"name": "Some GPU"}}
    text = found(tmp_path, busy, environment=unknown, alter=rate)["compute_bound"].text
    assert "MFU 71.4 % of 700.0 TFLOP/s (measured)." in text


def test_arithmetic_in_float32_has_no_share_of_a_peak_of_16_bit(tmp_path: Path) -> None:
    busy = {STEPS: activity(98.0, tensor=70.0) | {"flops": 10**15}}
    assert "mfu_pct" not in found(tmp_path, busy, settings={"dtype": "float32"})["compute_bound"].evidence


def test_low_activity_of_a_preview_is_a_note_where_more_steps_would_lift_it(tmp_path: Path) -> None:
    """As 5B_704p_4_gpus: four steps, of which the first waits for 4 s."""
    measures = {"Step_0_Inference": activity(13.0), r"Step_[123]_Inference": activity(85.0)}
    times_s = [4.8, 0.7, 0.7, 0.7]
    finding = found(tmp_path, measures, steps_s=times_s)["low_sm_inference"]
    assert finding.severity == "note"
    assert "(4 steps; with the official 50 it would be 76 %): the GPU waits" in finding.text
    measures[r"Step_[123]_Inference"] = activity(45.0)
    finding = found(tmp_path, measures, steps_s=times_s)["low_sm_inference"]
    assert finding.severity == "bottleneck"


def test_with_a_cache_a_share_at_the_official_steps_is_of_mean_steps(tmp_path: Path) -> None:
    """Steps that it shortened have no figure here: they were taken for the others, and the share was 165 %."""
    settings = {"cache": "first_block", "cache_threshold": 0.1, "weights": "pretrained", "steps": 8}
    times_s = [12.0, *[0.1, 2.4] * 3, 0.1]
    unseen = {"Step_0_Inference": activity(5.0), r"Step_[246]_Inference": activity(99.0)}
    finding = found(tmp_path, unseen, settings=settings, steps_s=times_s)["low_sm_inference"]
    # 3 of 7 typical steps are in full, and they are 95 % of the time.
    official_pct = 100 * (0.6 + 7.2 * 0.99 + 42 * 0.99 * 7.6 / 7) / (19.6 + 42 * 7.6 / 7)
    assert finding.evidence["official_steps_share_pct"] == pytest.approx(official_pct, abs=2)
    seen = unseen | {r"Step_[1357]_Inference": activity(60.0)}
    assert found(tmp_path, seen, settings=settings, steps_s=times_s)["low_sm_inference"].severity == "note"
