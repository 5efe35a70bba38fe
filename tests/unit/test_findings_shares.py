"""Findings about where the time goes outside the steps that are alike."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from traces import HOST, gpu_with

SMALLEST = {"vae_tiling": True, "vae_dtype": "bfloat16"}
CACHED = {"cache": "first_block", "cache_threshold": 1.0, "weights": "pretrained"}


def found(folder: Path, model: str = "TI2V-5B", **options: Any) -> dict[str, Any]:
    settings = {"steps": 5} | options.pop("settings", {})
    return rules(made(folder, full_case(model=model, **settings), **options))


def test_decoding_without_the_weights_that_are_transferred_in_it(tmp_path: Path) -> None:
    finding = found(tmp_path, decode_s=20.0)["dominant_stage"]
    assert finding.evidence["time_s"] == 20.0
    assert (finding.severity, finding.advised) == ("note", (("vae_dtype: bfloat16",),))
    transfer = {"VAE_Decoding": {"transfers": 1, "offloading_s": 18.0, "offloaded_bytes": 1}}
    assert "dominant_stage" not in found(tmp_path, decode_s=20.0, measures=transfer)
    assert "dominant_stage" not in found(tmp_path, decode_s=2.0)


def test_the_making_of_random_weights_is_no_part_of_the_whole(tmp_path: Path) -> None:
    """As 5B_704p_group_stream: 11 s of decoding beside 31 s of placing weights that were made up."""
    finding = found(tmp_path, decode_s=8.0, init_s=40.0)["dominant_stage"]
    # Half a second to encode, a quarter to prepare, five steps of 2 s, 1 s to export.
    assert finding.evidence["share_pct"] == pytest.approx(100 * 8 / 19.75)
    assert finding.evidence["official_steps_share_pct"] == pytest.approx(100 * 8 / (19.75 + 90))
    loaded = found(tmp_path, decode_s=8.0, init_s=40.0, settings={"weights": "pretrained"})
    assert loaded["dominant_stage"].text.startswith("Model_Initialization takes 40.00 s, 67 % of Total_Execution")


@pytest.mark.parametrize(
    ("decode_s", "steps", "severity"), [(20.0, 5, "note"), (120.0, 5, "bottleneck"), (120.0, 50, "bottleneck")]
)
def test_a_stage_that_is_short_beside_the_official_steps_is_a_note(
    tmp_path: Path, decode_s: float, steps: int, severity: str
) -> None:
    assert found(tmp_path, decode_s=decode_s, settings={"steps": steps})["dominant_stage"].severity == severity


@pytest.mark.parametrize(
    ("options", "advised"),
    [
        ({"settings": SMALLEST, "environment": gpu_with(mem_total_bytes=80 * 10**9)}, (("vae_tiling: false",),)),
        ({"settings": SMALLEST, "environment": gpu_with(mem_total_bytes=30 * 10**9)}, ()),
        # Many CPUs emulate bfloat16.
        ({"environment": HOST}, ()),
    ],
)
def test_advice_on_decoding_is_what_the_machine_can_do(
    tmp_path: Path, options: dict[str, Any], advised: tuple[tuple[str, ...], ...]
) -> None:
    assert found(tmp_path, decode_s=20.0, **options)["dominant_stage"].advised == advised


def test_compilation_can_dominate_and_all_generations_count_for_a_share(tmp_path: Path) -> None:
    compiled = found(tmp_path, compile_s=30.0, settings={"compile": "repeated_blocks"})
    assert compiled["dominant_stage"].text.startswith("Compilation takes 30.00 s")
    repeated = found(tmp_path, decode_s=20.0, settings={"repeats": 3})["dominant_stage"]
    assert repeated.evidence["time_s"] == 60.0
    assert "in 3 generations" in repeated.text


@pytest.mark.parametrize(("weights", "known"), [("random", False), ("pretrained", True)])
def test_what_a_cache_would_do_at_more_steps_is_not_known_of_random_weights(
    tmp_path: Path, weights: str, known: bool
) -> None:
    finding = found(tmp_path, decode_s=20.0, settings=CACHED | {"weights": weights})["dominant_stage"]
    assert ("official_steps_share_pct" in finding.evidence) == known
    assert finding.severity == "note"
