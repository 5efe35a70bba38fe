"""Findings from other cases of the same report: what a setting did not do, and what another would."""

from pathlib import Path
from typing import Any

import pytest

from reports import full_case, made, rules
from traces import GPU
from wanbench.report.findings.neighbours import Neighbourhood
from wanbench.report.tables import cases_table
from wanbench.trace.reader import Trace

STEPS = r"Step_\d+_Inference"


def trace(folder: Path, name: str, step_s: float = 2.0, peak_gb: float = 40, steps: int = 4, **options: Any) -> Trace:
    settings = options.pop("settings", {})
    case = full_case(name, steps=steps, **settings)
    return made(folder, case, [step_s] * steps, peak_bytes=round(peak_gb * 1e9), **options)


def keys(own: Trace, *others: Trace) -> list[str]:
    case, *rest = (row for _, row in cases_table([own, *others]).iterrows())
    return [neighbour.setting for neighbour in Neighbourhood([case, *rest]).of(case)]


# --- neighbours -------------------------------------------------------------------------------------------------


def test_a_neighbour_differs_in_one_setting_and_maybe_in_steps(tmp_path: Path) -> None:
    own = trace(tmp_path, "own")
    offloaded = trace(tmp_path, "b", steps=9, settings={"offload": "model"})
    both = trace(tmp_path, "c", settings={"offload": "model", "vae_tiling": True})
    tiled = trace(tmp_path, "d", settings={"vae_tiling": True})
    assert keys(own, offloaded, both, tiled) == ["offload: model", "vae_tiling: true"]
    assert keys(both, own, offloaded) == ["vae_tiling: false"]


def test_what_makes_no_neighbour(tmp_path: Path) -> None:
    own = trace(tmp_path, "own")
    other_gpu = GPU | {"gpu": GPU["gpu"] | {"name": "Some GPU"}}
    offloaded = {"offload": "model"}
    assert keys(own, trace(tmp_path, "same")) == []
    assert keys(own, trace(tmp_path, "b", settings=offloaded | {"guidance": 1.0})) == []
    assert keys(own, trace(tmp_path, "c", settings=offloaded, environment=other_gpu)) == []
    doubtful = trace(tmp_path, "d", settings=offloaded, unnamed_s=5.0)
    assert keys(own, doubtful) == []
    assert keys(doubtful, own) == []
    # With random weights, how often a cache serves means nothing.
    assert keys(own, trace(tmp_path, "e", settings={"cache": "first_block"})) == []


def test_thresholds_of_a_cache_are_one_setting_with_it(tmp_path: Path) -> None:
    def cached(name: str, threshold: float | None) -> Trace:
        cache = {"cache": "first_block", "cache_threshold": threshold} if threshold else {}
        case = full_case(name, steps=4, weights="pretrained", **cache)
        return made(tmp_path, case)

    plain, low, high = cached("plain", None), cached("low", 0.05), cached("high", 0.2)
    assert keys(plain, low) == ["cache: first_block, cache_threshold: 0.05"]
    assert keys(low, high) == ["cache: first_block, cache_threshold: 0.2"]


# --- no effect --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "with_it", "without", "fires"),
    [
        ({"compile": "repeated_blocks"}, {"step_s": 1.99}, {}, True),
        ({"compile": "repeated_blocks"}, {"step_s": 1.6}, {}, False),
        ({"attention": "_native_flash"}, {"step_s": 2.01}, {}, True),
        ({"attention": "_native_flash"}, {"step_s": 1.9}, {}, False),
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
    own = trace(tmp_path, "own", settings=settings, **with_it)
    plain = trace(tmp_path, "plain", **without)
    found = rules(own, plain)
    assert ("no_effect" in found) == fires
    if fires:
        (key, value), *_ = settings.items()
        assert f"`{key}: {str(value).lower()}`" in found["no_effect"].text
        assert "case plain with" in found["no_effect"].text
    assert "no_effect" not in rules(plain, own)


@pytest.mark.parametrize(("reused", "fires"), [(0, True), (1, False)])
def test_a_cache_that_never_served(tmp_path: Path, reused: int, fires: bool) -> None:
    measures = {STEPS: {"passes_reused": reused}}
    found = rules(trace(tmp_path, "own", settings={"cache": "first_block"}, measures=measures))
    assert ("no_effect" in found) == fires
    if fires:
        assert found["no_effect"].evidence == {"passes_reused": 0.0, "passes": 8.0}
        assert "These weights are random" in found["no_effect"].text


# --- gains ------------------------------------------------------------------------------------------------------


def test_a_faster_neighbour_is_told_with_what_it_costs(tmp_path: Path) -> None:
    own = trace(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    faster = trace(tmp_path, "faster", step_s=2.0, peak_gb=41, steps=8)
    finding = rules(own, faster)["faster_elsewhere"]
    # 4 steps of 4 s against 4 of 2 s, and 4.75 s for the rest of either.
    assert finding.evidence["speed_ratio"] == pytest.approx(20.75 / 12.75)
    assert "Case faster differs only in `offload: none` and is 1.63x faster per generation (4 steps)" in finding.text
    assert "21.00 GB more" in finding.text
    assert "faster_elsewhere" not in rules(faster, own)


def test_a_neighbour_that_is_hardly_faster_or_warm_where_the_case_is_cold_is_not_told(tmp_path: Path) -> None:
    own = trace(tmp_path, "own", settings={"offload": "group"}, step_s=2.05, peak_gb=20)
    assert "faster_elsewhere" not in rules(own, trace(tmp_path, "hardly"))
    warm = trace(tmp_path, "warm", step_s=1.0, settings={"repeats": 2})
    assert "faster_elsewhere" not in rules(own, warm)


def test_advice_is_completed_by_what_was_measured_and_not_told_twice(tmp_path: Path) -> None:
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    own = trace(tmp_path, "own", measures=busy)
    compiled = trace(tmp_path, "compiled", 1.5, 40, settings={"compile": "repeated_blocks"}, compile_s=10.0)
    found = rules(own, compiled)
    assert (
        "Measured here: `compile: repeated_blocks` (case compiled): 1.19x faster per generation (4 steps) and 1.31x "
        "faster at the official 50 steps, 1.50 s/step instead of 2.00, after 10.00 s of compilation once for each "
        "process, the same memory."
    ) in found["compute_bound"].text
    assert "faster_elsewhere" not in found
    assert "Measured here" not in rules(own)["compute_bound"].text


def test_advice_of_a_cache_is_completed_whatever_its_threshold(tmp_path: Path) -> None:
    busy = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
    own = trace(tmp_path, "own", measures=busy, settings={"weights": "pretrained"})
    cached = trace(tmp_path, "cached", 1.0, settings={"weights": "pretrained", "cache": "first_block"})
    found = rules(own, cached)
    assert "Measured here: `cache: first_block, cache_threshold: 0.05` (case cached)" in found["compute_bound"].text
    assert "faster_elsewhere" not in found


def test_of_equal_neighbours_the_fastest_speaks(tmp_path: Path) -> None:
    own = trace(tmp_path, "own", settings={"offload": "group"}, step_s=4.0, peak_gb=20)
    slow, fast = trace(tmp_path, "slow", step_s=2.5), trace(tmp_path, "fast", step_s=2.0)
    assert "Case fast " in rules(own, slow, fast)["faster_elsewhere"].text


def test_the_same_case_under_another_name_is_no_finding(tmp_path: Path) -> None:
    own = trace(tmp_path, "own")
    twin = trace(tmp_path, "twin", step_s=1.0)
    assert "faster_elsewhere" not in rules(own, twin)
