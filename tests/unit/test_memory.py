"""The memory estimate, against peaks that were measured on H100 and H200."""

from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from example_cases import full_case, tiny_case
from reports import kept
from traces import read_once
from wanbench.cases.case import Case
from wanbench.estimate.memory import estimated_peak_bytes, weights_of
from wanbench.registry import stages as stage_names

TRACES = sorted((ROOT / "results/reference").glob("*/traces/*.json.gz"))
IDS = [f"{file.parts[-3]}/{file.name.removesuffix('.json.gz')}" for file in TRACES]


def estimate(model: str = "TI2V-5B", **settings: Any) -> int:
    return estimated_peak_bytes(full_case(model=model, **settings))


@pytest.mark.parametrize("file", TRACES, ids=IDS)
def test_the_estimate_is_within_3_percent_of_the_measured_peak_and_that_of_denoising_within_6(file: Path) -> None:
    trace = read_once(file)
    peaks = {stage.name: stage.measures.get("gpu_mem_allocated_bytes", 0) for stage in trace.stages}
    estimated = estimated_peak_bytes(Case.from_settings(trace.case))
    if trace.status == stage_names.OOM:
        assert estimated > trace.environment["gpu"]["mem_total_bytes"]
    else:
        assert estimated == pytest.approx(max(peaks.values()), rel=0.03)
    # Decoding is the peak of most cases; with tiles and in bfloat16 it is small, and denoising is what is left.
    of_steps = max(peak for name, peak in peaks.items() if "Inference" in name)
    case = Case.from_settings(trace.case | {"vae_tiling": True, "vae_dtype": "bfloat16"})
    assert estimated_peak_bytes(case) == pytest.approx(of_steps, rel=0.06)


def test_what_lowers_memory_lowers_the_estimate() -> None:
    assert estimate(offload="model") < estimate()
    assert estimate(offload="group") < estimate(offload="model")
    assert estimate(vae_tiling=True) < estimate(vae_dtype="bfloat16") < estimate()
    assert estimate("T2V-A14B", size="832*480") < estimate("T2V-A14B")
    assert estimate(dtype="float32") > 1.4 * estimate(dtype="bfloat16")
    assert estimate(cache="first_block", vae_tiling=True) > estimate(vae_tiling=True)
    # A text encoder in float16 keeps a part in float32.
    difference = weights_of(full_case(dtype="float16")).all_bytes - weights_of(full_case()).all_bytes
    assert difference == 2 * 1_006_632_960


@pytest.mark.parametrize("name", ["5B_704p_cache", "T2V_A14B_480p_cache"])
def test_what_a_cache_keeps_is_in_the_estimate_of_decoding(name: str) -> None:
    trace = kept(name)
    peak_in = {stage.name: stage.measures.get("gpu_mem_allocated_bytes") for stage in trace.stages}
    without = estimated_peak_bytes(Case.from_settings(trace.case | {"cache": "none", "cache_threshold": None}))
    # Within 1 %, which what it keeps is more than: 1.0 GB of TI2V-5B, 4.0 GB of the two experts of A14B.
    assert estimated_peak_bytes(Case.from_settings(trace.case)) == pytest.approx(peak_in["VAE_Decoding"], rel=0.01)
    assert without < 0.975 * peak_in["VAE_Decoding"]


def test_a_cache_keeps_as_much_for_each_guidance_pass() -> None:
    def kept(**settings: Any) -> int:
        return estimate(cache="first_block", **settings) - estimate(**settings)

    assert kept(guidance=5) == 2 * kept(guidance=1) > 0
    assert kept(model="T2V-A14B", size="832*480") == pytest.approx(4.03e9, rel=0.01)


def test_what_has_no_formula_has_no_estimate() -> None:
    assert estimated_peak_bytes(tiny_case()) is None
    assert estimated_peak_bytes(full_case(attention="_native_math")) is None
