"""What a report says of cases on several GPUs, and that it changes nothing for those on one."""

from pathlib import Path
from typing import Any

import pytest

from reports import findings, fired, full_case, made, rules, tables, told
from wanbench.estimate.memory import estimated_host_bytes, estimated_peak_bytes
from wanbench.estimate.resources import resources_of
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace

STEPS = r"Step_\d+_Inference"
BUSY = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}
FLOPS = 2 * 520.65e12


def trace(folder: Path, name: str, gpus: int = 1, step_s: float = 2.0, energy_j: float = 1400, **options: Any) -> Trace:
    settings = {"steps": 10, "gpus": gpus} | options.pop("settings", {})
    measures = {STEPS: {"energy_j": energy_j, "flops": FLOPS}, "VAE_Decoding": {"energy_j": 2000, "flops": 2011e12}}
    measures |= {"T5_Encoding|TI2V_Preprocess|Video_Export": {"energy_j": 100}}
    for pattern, values in options.pop("measures", {}).items():
        measures[pattern] = measures.get(pattern, {}) | values
    return made(folder, full_case(name, **settings), [step_s] * 10, measures=measures, **options)


def test_a_step_is_held_against_all_gpus_and_what_each_does_by_itself_against_one(tmp_path: Path) -> None:
    half = {"settings": {"vae_dtype": "bfloat16"}}
    one, two = trace(tmp_path, "one", **half), trace(tmp_path, "two", 2, 1.0, **half)
    rows = [
        {row["Stage"]: float(row["MFU (%)"]) for row in stages if row["MFU (%)"] != "n/a"}
        for stages in tables(told(one, two), "Stage")
    ]
    assert rows[0] == rows[1]
    assert rows[0]["Step_1_Inference"] == pytest.approx(100 * FLOPS / 2 / 989.4e12, abs=0.1)


def test_nothing_is_concluded_from_the_activity_of_gpus_that_wait_for_each_other(tmp_path: Path) -> None:
    """As T2V_A14B_480p_4_gpus_compiled: 74.8 % of the tensor cores on one GPU, and 66.2 with the exchange."""
    for tensor_pct, rule in ((70.0, "compute_bound"), (66.0, "kernel_bound")):
        measures = {STEPS: BUSY[STEPS] | {"tensor_activity_pct": tensor_pct}}
        cases = (trace(tmp_path, f"{gpus}", gpus, 2.0 / gpus, measures=measures) for gpus in (1, 2))
        assert fired(rule, *cases) == {"1"}


def test_nothing_is_advised_that_several_gpus_cannot_do(tmp_path: Path) -> None:
    full = {"peak_bytes": 145_000_000_000, "settings": {"offload": "model"}}
    measures = BUSY | {".*": {"sys_mem_bytes": 127e9}}
    one, two = (trace(tmp_path, f"of_{gpus}", gpus, measures=measures, **full) for gpus in (1, 2))
    advised = {
        name: {setting for finding in of_case for settings in finding.advised for setting in settings}
        for name, of_case in findings(one, two).items()
    }
    assert {"cache: first_block", "vae_dtype: bfloat16"} <= advised["of_1"]
    assert "vae_dtype: bfloat16" in advised["of_2"]
    assert not {"cache: first_block", "offload: group_stream"} & advised["of_2"]
    assert "145.00 GB on each of 2 GPUs" in rules(two)["vram_margin"].text


def test_out_of_memory_is_answered_with_what_the_case_may_have(tmp_path: Path) -> None:
    oom = Outcome("oom", "rank 1: CUDA out of memory. Tried to allocate 2.00 GiB.", "OutOfMemoryError")
    # Weights that fit no 150 GB together.
    case = {"model": "T2V-A14B", "dtype": "float32", "gpus": 2, "vae_tiling": True, "vae_dtype": "bfloat16"}
    small = made(tmp_path, full_case("big", **case), until="Step_0", outcome=oom)
    text = rules(small)["out_of_memory"].advice
    assert "`offload: model`" in text
    assert "group" not in text


def test_of_the_memory_each_gpu_has_all_weights_and_its_part_of_the_tokens_and_the_host_has_all_processes() -> None:
    settings = {"vae_tiling": True, "vae_dtype": "bfloat16"}
    cases = [full_case(gpus=gpus, **settings) for gpus in (1, 2, 4, 8)]
    one, two, four, eight = (estimated_peak_bytes(case) for case in cases)
    assert one > two > four >= eight > 20e9
    assert estimated_peak_bytes(full_case(gpus=2)) == estimated_peak_bytes(full_case())
    assert estimated_host_bytes(cases[1]) == 2 * estimated_host_bytes(cases[0])
    asked = [resources_of(case, None, None) for case in cases[:2]]
    assert [each.gpus for each in asked] == [1, 2]
    assert asked[1].mem_mb == pytest.approx(2 * asked[0].mem_mb, abs=1)
