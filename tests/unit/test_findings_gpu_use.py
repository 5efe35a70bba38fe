"""Findings about what the GPU waits for, where the time goes beside the steps that are alike, and its own limits."""

from pathlib import Path
from typing import Any

import pytest

from reports import found_in_each, full_case, made, rules, rules_by_case
from traces import HOST, gpu_with
from wanbench.trace.reader import Trace

STEPS = r"Step_\d+_Inference"


def activity(sm: float, tensor: float = 0.0) -> dict[str, float]:
    return {"sm_activity_pct": sm, "tensor_activity_pct": tensor}


def found(folder: Path, measures: dict[str, dict[str, Any]] | None = None, **options: Any) -> dict[str, Any]:
    settings = {"steps": 4} | options.pop("settings", {})
    return rules(made(folder, full_case(**settings), measures=measures, **options))


# --- a GPU that waits -------------------------------------------------------------------------------------------

IDLE_CASE = {"Total_Execution": activity(30.0), "Model_Initialization": activity(0.0), "VAE_Decoding": activity(5.0)}


def test_low_activity_names_where_the_gpu_idles_and_begins_with_transfers_where_there_are_some(tmp_path: Path) -> None:
    busy = IDLE_CASE | {"Total_Execution": activity(80.0)}
    transferring = {"measures": IDLE_CASE | {"VAE_Decoding": MOVES["VAE_Decoding"]}, "settings": {"offload": "model"}}
    # The making of random weights is no idling.
    made_up = {"measures": IDLE_CASE, "init_s": 20.0}
    idle, *others = found_in_each(tmp_path, {"measures": IDLE_CASE}, {"measures": busy}, made_up, {}, transferring)
    finding = idle["low_sm_activity"]
    assert finding.severity == "bottleneck"
    # 12.75 s, of which 2 s make random weights, and 30 % of 14.75 s are busy.
    assert finding.evidence["sm_activity_pct"] == pytest.approx(100 * 0.3 * 14.75 / 12.75)
    assert "VAE_Decoding (3.00 s at 5 %)" in finding.text
    assert "Model_Initialization (" not in finding.text
    assert not any("low_sm_activity" in found for found in others)
    assert "transfer_bound" in others[-1]


def test_a_gpu_that_is_busy_at_the_official_steps_is_a_note(tmp_path: Path) -> None:
    for sm_pct, severity in ((95.0, "note"), (35.0, "bottleneck")):
        finding = found(tmp_path, IDLE_CASE | {STEPS: activity(sm_pct)})["low_sm_activity"]
        assert finding.severity == severity
        busy_s = 0.3 * 14.75 + 46 * 2 * sm_pct / 100
        assert finding.evidence["official_steps_share_pct"] == pytest.approx(100 * busy_s / (12.75 + 92))


# --- weight transfers -------------------------------------------------------------------------------------------

MOVES = {
    "T5_Encoding": {"transfers": 1, "loading_s": 0.25, "loaded_bytes": 10**9},
    "VAE_Decoding": {"transfers": 2, "loading_s": 0.25, "loaded_bytes": 10**9}
    | {"offloading_s": 2.0, "offloaded_bytes": 4 * 10**9},
}
FEW = {"measures": {"VAE_Decoding": {"transfers": 1, "loading_s": 0.5, "loaded_bytes": 10**9}}}
OFFLOADED = {"offload": "model"}


def test_transfers_are_of_one_generation_and_scaled_to_the_official_steps(tmp_path: Path) -> None:
    finding = found(tmp_path, MOVES, settings=OFFLOADED | {"repeats": 3})["transfer_bound"]
    # Half a second to encode, a quarter to prepare, four steps of 2 s, 3 s to decode, 1 s to export.
    assert finding.evidence["share_pct"] == pytest.approx(100 * 2.5 / 12.75)
    assert (finding.evidence["loaded_bytes"], finding.evidence["offloaded_bytes"]) == (2e9, 4e9)
    assert finding.evidence["official_steps_share_pct"] == pytest.approx(100 * 2.5 / (12.75 + 92))
    assert finding.severity == "note"
    assert "2.00 GB to the GPU at 4.0 GB/s, 4.00 GB from the GPU at 2.0 GB/s." in finding.text
    assert finding.advised == (("offload: none",),)


def test_transfers_of_every_step_stay_a_bottleneck(tmp_path: Path) -> None:
    in_steps = {STEPS: {"transfers": 9, "loading_s": 0.75, "offloading_s": 0.25, "loaded_bytes": 10**9}}
    each = found(tmp_path, in_steps, settings={"offload": "sequential"})["transfer_bound"]
    assert each.severity == "bottleneck"
    assert each.evidence["official_steps_share_pct"] == pytest.approx(100 * 50 / (12.75 + 92))


def test_what_leaves_the_gpu_at_the_end_is_a_transfer(tmp_path: Path) -> None:
    def offload_all(content: dict[str, Any]) -> None:
        (event,) = (event for event in content["traceEvents"] if event["name"] == "Video_Export")
        detail = {"name": "Offload_All", "cat": "detail", "dur": 0.8e6, "args": {"generation": 0}}
        content["traceEvents"].append(event | detail)

    some = FEW | {"settings": OFFLOADED, "alter": offload_all}
    # With group_stream the pipeline asks for it, too, and nothing is transferred.
    none = FEW | {"settings": {"offload": "group_stream"}, "alter": offload_all}
    few, on_the_cpu = FEW | {"settings": OFFLOADED}, {"measures": MOVES, "settings": OFFLOADED, "environment": HOST}
    found, *others = found_in_each(tmp_path, some, none, few, {}, on_the_cpu)
    assert found["transfer_bound"].evidence["share_pct"] == pytest.approx(100 * 1.3 / 12.75)
    assert "0.80 s at the end (Offload_All)" in found["transfer_bound"].text
    assert not any("transfer_bound" in other for other in others)


def a14b(folder: Path, name: str, size_gb: float, **settings: Any) -> Trace:
    settings = {"offload": "model", "compile": "repeated_blocks", "size": "832*480"} | settings
    case = full_case(name, "T2V-A14B", steps=4, **settings)
    gpu = gpu_with(mem_total_bytes=round(size_gb * 10**9))
    return made(folder, case, measures=MOVES, experts=["high_noise"] * 4, environment=gpu)


SMALL = {"compile": "none", "vae_tiling": True, "vae_dtype": "bfloat16", "size": "1280*720"}


def test_what_lets_all_weights_stay_on_the_gpu_or_hides_their_transfer(tmp_path: Path) -> None:
    expected: list[tuple[float, dict[str, Any], tuple[tuple[str, ...], ...]]] = [
        (90, {}, (("offload: none",),)),
        (85, {}, (("offload: none", "vae_dtype: bfloat16"), ("offload: none", "vae_tiling: true"))),
        # The grid refuses hooks on every layer of compiled blocks.
        (78, {}, (("offload: group_stream", "compile: none"),)),
        # Precision is not given up where compiling alone lets all weights stay.
        (84, SMALL, (("offload: none", "compile: repeated_blocks"),)),
        (25, {"offload": "group_stream", "compile": "none"}, ()),
    ]
    found = rules_by_case(*(a14b(tmp_path, f"{i}", gb, **settings) for i, (gb, settings, _) in enumerate(expected)))
    assert [found[f"{i}"]["transfer_bound"].advised for i in range(len(expected))] == [row[-1] for row in expected]


# --- the GPU's own limits ---------------------------------------------------------------------------------------


def test_kernels_between_matrix_products(tmp_path: Path) -> None:
    for settings, advised in (
        ({}, "compile: repeated_blocks"),
        ({"compile": "repeated_blocks"}, "attention"),
        # Hooks on every layer do not go with compilation.
        ({"offload": "group"}, "attention"),
    ):
        finding = found(tmp_path, {STEPS: activity(98.0, 51.0)}, settings=settings)["kernel_bound"]
        assert (finding.severity, finding.advised) == ("bottleneck", ((advised,),))


def test_arithmetic_with_its_share_of_the_peak_and_of_the_rate_that_was_measured(tmp_path: Path) -> None:
    """A board of a lower limit is slower than its datasheet, and products alone do not reach that either."""
    busy = {STEPS: activity(98.0, 70.0) | {"flops": 10**15}}

    def rate(trace: dict[str, Any]) -> None:
        trace["environment"]["matmul_flops_per_s"] = 0.7e15

    finding = found(tmp_path, busy, alter=rate)["compute_bound"]
    assert finding.severity == "note"
    assert finding.evidence["mfu_pct"] == pytest.approx(100 * 0.5e15 / 989.4e12)
    assert finding.evidence["mfu_of_measured_pct"] == pytest.approx(100 * 0.5 / 0.7)
    assert "MFU 50.5 % (71 % of" in finding.text
    assert finding.advised == (("compile: repeated_blocks",), ("attention",), ("cache: first_block",))
    # The peak is that of 16 bit.
    assert "mfu_pct" not in found(tmp_path, busy, settings={"dtype": "float32"})["compute_bound"].evidence


def test_steps_are_bound_by_one_thing_or_by_none(tmp_path: Path) -> None:
    steps = activity(98.0, 51.0), activity(98.0, 70.0), activity(80.0, 51.0), {}
    found = found_in_each(tmp_path, *({"measures": {STEPS: measures}} for measures in steps))
    bound = [{"kernel_bound", "compute_bound"} & each.keys() for each in found]
    assert bound == [{"kernel_bound"}, {"compute_bound"}, set(), set()]


# --- a stage that dominates -------------------------------------------------------------------------------------


def dominant(folder: Path, *runs: dict[str, Any]) -> list[Any]:
    """What is found of a dominant stage in each of some cases of five steps."""
    return [found.get("dominant_stage") for found in found_in_each(folder, *runs, steps=5)]


def test_decoding_without_the_weights_that_are_transferred_in_it(tmp_path: Path) -> None:
    transfer = {"VAE_Decoding": {"transfers": 1, "offloading_s": 18.0, "offloaded_bytes": 1}}
    longer = {"decode_s": 120.0}, {"decode_s": 120.0, "settings": {"steps": 50}}
    runs = {"decode_s": 20.0}, *longer, {"decode_s": 20.0, "measures": transfer}, {"decode_s": 2.0}
    finding, *longer, moved, short = dominant(tmp_path, *runs)
    assert finding.evidence["time_s"] == 20.0
    # It is short beside the official steps.
    assert (finding.severity, finding.advised) == ("note", (("vae_dtype: bfloat16",),))
    assert [other.severity for other in longer] == ["bottleneck"] * 2
    assert moved is short is None


def test_the_making_of_random_weights_is_no_part_of_the_whole(tmp_path: Path) -> None:
    """As 5B_704p_group_stream: 11 s of decoding beside 31 s of placing weights that were made up."""
    run = {"decode_s": 8.0, "init_s": 40.0}
    finding, loaded = dominant(tmp_path, run, run | {"settings": {"weights": "pretrained"}})
    # Half a second to encode, a quarter to prepare, five steps of 2 s, 1 s to export.
    assert finding.evidence["share_pct"] == pytest.approx(100 * 8 / 19.75)
    assert finding.evidence["official_steps_share_pct"] == pytest.approx(100 * 8 / (19.75 + 90))
    assert loaded.text.startswith("Model_Initialization takes 40.00 s, 67 % of Total_Execution")


def test_advice_on_decoding_is_what_the_machine_can_do(tmp_path: Path) -> None:
    smallest = {"decode_s": 20.0, "settings": {"vae_tiling": True, "vae_dtype": "bfloat16"}}
    large, small = (smallest | {"environment": gpu_with(mem_total_bytes=gb * 10**9)} for gb in (80, 30))
    # Many CPUs emulate bfloat16.
    found = dominant(tmp_path, large, small, {"decode_s": 20.0, "environment": HOST})
    assert [finding.advised for finding in found] == [(("vae_tiling: false",),), (), ()]


def test_compilation_can_dominate_and_all_generations_count_for_a_share(tmp_path: Path) -> None:
    compiling = {"compile_s": 30.0, "settings": {"compile": "repeated_blocks"}}
    compiled, repeated = dominant(tmp_path, compiling, {"decode_s": 20.0, "settings": {"repeats": 3}})
    assert compiled.text.startswith("Compilation takes 30.00 s")
    assert repeated.evidence["time_s"] == 60.0
    assert "in 3 generations" in repeated.text


def test_what_a_cache_would_do_at_more_steps_is_not_known_of_random_weights(tmp_path: Path) -> None:
    cached = {"cache": "first_block", "cache_threshold": 1.0}
    runs = ({"decode_s": 20.0, "settings": cached | {"weights": weights}} for weights in ("random", "pretrained"))
    found = dominant(tmp_path, *runs)
    assert ["official_steps_share_pct" in finding.evidence for finding in found] == [False, True]
    assert {finding.severity for finding in found} == {"note"}
