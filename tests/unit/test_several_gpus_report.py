"""What a report says of cases on several GPUs, and that it changes nothing for those on one."""

from pathlib import Path

from reports import findings, fired, full_case, made, rules
from wanbench.measure.outcome import Outcome

STEPS = r"Step_\d+_Inference"
BUSY = {STEPS: {"sm_activity_pct": 98.0, "tensor_activity_pct": 70.0}}


def test_nothing_is_concluded_from_the_activity_of_gpus_that_wait_for_each_other(tmp_path: Path) -> None:
    """As T2V_A14B_480p_4_gpus_compiled: 74.8 % of the tensor cores on one GPU, and 66.2 with the exchange."""
    for tensor_pct, rule in ((70.0, "compute_bound"), (66.0, "kernel_bound")):
        measures = {STEPS: BUSY[STEPS] | {"tensor_activity_pct": tensor_pct}}
        cases = (made(tmp_path, full_case(f"{gpus}", steps=10, gpus=gpus), measures=measures) for gpus in (1, 2))
        assert fired(rule, *cases) == {"1"}


def test_nothing_is_advised_that_several_gpus_cannot_do(tmp_path: Path) -> None:
    full = {"peak_bytes": 145_000_000_000, "measures": BUSY | {".*": {"sys_mem_bytes": 127e9}}}
    cases = (full_case(f"of_{gpus}", steps=10, gpus=gpus, offload="model") for gpus in (1, 2))
    one, two = (made(tmp_path, case, **full) for case in cases)
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
