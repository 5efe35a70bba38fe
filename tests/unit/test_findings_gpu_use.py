"""Findings about what the GPU waits for, where the time goes beside the steps that are alike, and its own limits."""

from pathlib import Path
from typing import Any

import pytest

from reports import found_in_each
from traces import HOST

STEPS = r"Step_\d+_Inference"


def activity(sm: float, tensor: float = 0.0) -> dict[str, float]:
    return {"sm_activity_pct": sm, "tensor_activity_pct": tensor}


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


MOVES = {
    "T5_Encoding": {"transfers": 1, "loading_s": 0.25, "loaded_bytes": 10**9},
    "VAE_Decoding": {"transfers": 2, "loading_s": 0.25, "loaded_bytes": 10**9}
    | {"offloading_s": 2.0, "offloaded_bytes": 4 * 10**9},
}
FEW = {"measures": {"VAE_Decoding": {"transfers": 1, "loading_s": 0.5, "loaded_bytes": 10**9}}}
OFFLOADED = {"offload": "model"}


def test_transfers_are_of_one_generation_and_scaled_to_the_official_steps(tmp_path: Path) -> None:
    (found,) = found_in_each(tmp_path, {"measures": MOVES, "settings": OFFLOADED | {"repeats": 3}})
    finding = found["transfer_bound"]
    # Half a second to encode, a quarter to prepare, four steps of 2 s, 3 s to decode, 1 s to export.
    assert finding.evidence["share_pct"] == pytest.approx(100 * 2.5 / 12.75)
    assert (finding.evidence["loaded_bytes"], finding.evidence["offloaded_bytes"]) == (2e9, 4e9)
    assert finding.evidence["official_steps_share_pct"] == pytest.approx(100 * 2.5 / (12.75 + 92))
    assert finding.severity == "note"
    assert "2.00 GB to the GPU at 4.0 GB/s, 4.00 GB from the GPU at 2.0 GB/s." in finding.text
    assert finding.advised == (("offload: none",),)


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


def test_steps_are_bound_by_one_thing_or_by_none(tmp_path: Path) -> None:
    steps = activity(98.0, 51.0), activity(98.0, 70.0), activity(80.0, 51.0), {}
    found = found_in_each(tmp_path, *({"measures": {STEPS: measures}} for measures in steps))
    bound = [{"kernel_bound", "compute_bound"} & each.keys() for each in found]
    assert bound == [{"kernel_bound"}, {"compute_bound"}, set(), set()]


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


def test_what_a_cache_would_do_at_more_steps_is_not_known_of_random_weights(tmp_path: Path) -> None:
    cached = {"cache": "first_block", "cache_threshold": 1.0}
    runs = ({"decode_s": 20.0, "settings": cached | {"weights": weights}} for weights in ("random", "pretrained"))
    found = dominant(tmp_path, *runs)
    assert ["official_steps_share_pct" in finding.evidence for finding in found] == [False, True]
    assert {finding.severity for finding in found} == {"note"}
