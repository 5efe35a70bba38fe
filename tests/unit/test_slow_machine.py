"""Findings about variables, limits and settings of a machine that hold it below its own speed."""

from pathlib import Path
from typing import Any

import pytest

from reports import fired, full_case, made, report, rules
from traces import GPU, HOST
from wanbench.measure.outcome import Outcome


def found(folder: Path, environment: dict[str, Any], **telemetry: Any) -> dict[str, Any]:
    def alter(trace: dict[str, Any]) -> None:
        if telemetry:
            trace["environment"]["gpu_telemetry"] = telemetry

    return rules(made(folder, full_case(steps=3), environment=environment, alter=alter))


def test_a_variable_that_slows_things_down_is_named(tmp_path: Path) -> None:
    variables = {"CUDA_LAUNCH_BLOCKING": "1", "TORCH_LOGS": None, "ONEDNN_MAX_CPU_ISA": "ALL"}
    finding = found(tmp_path, GPU | {"variables": variables})["slow_variables"]
    assert finding.evidence == {"variables": 1.0}
    assert "`CUDA_LAUNCH_BLOCKING=1`" in finding.text
    for harmless in ({"variables": {"CUDA_LAUNCH_BLOCKING": "0"}}, {"variables": {}}, {}):
        assert "slow_variables" not in found(tmp_path, GPU | harmless)
    # Those of GPUs slow nothing on the CPU.
    variables = {"CUDA_LAUNCH_BLOCKING": "1", "ATEN_CPU_CAPABILITY": "default"}
    text = found(tmp_path, HOST | {"variables": variables})["slow_variables"].text
    assert "ATEN_CPU_CAPABILITY" in text
    assert "CUDA_LAUNCH_BLOCKING" not in text


def test_less_than_two_cores_are_told(tmp_path: Path) -> None:
    # Quota, and cores that the process may use.
    limits = [(0.5, 16), (None, 1), (8.0, 16), (None, 16), (64.0, 16), (None, None)]
    traces = []
    for i, (quota, allowed) in enumerate(limits):
        environment = GPU | {"cpu_quota_cores": quota, "cpu_cores_allowed": allowed}
        traces.append(made(tmp_path, full_case(f"{i}", steps=3), environment=environment))
    assert fired("few_cores", *traces) == {"0", "1"}


def test_clocks_and_power_below_what_is_delivered_are_told(tmp_path: Path) -> None:
    state = {"sm_clock_set_mhz": 1200, "sm_clock_default_mhz": 1980, "power_limit_default_w": 700.0}
    finding = found(tmp_path, GPU, driver="580", power_limit_w=700.0, state=state)["held_back_by_setting"]
    assert finding.evidence == {"gpu_sm_clock_set_mhz": 1200.0, "gpu_sm_clock_default_mhz": 1980.0}
    state |= {"sm_clock_set_mhz": 1980}
    assert "held_back_by_setting" not in found(tmp_path, GPU, driver="580", power_limit_w=700.0, state=state)
    lowered = found(tmp_path, GPU, driver="580", power_limit_w=500.0, state=state)["held_back_by_setting"]
    assert lowered.evidence == {"gpu_power_limit_w": 500.0, "gpu_power_limit_default_w": 700.0}

    def alter(trace: dict[str, Any]) -> None:
        trace["quality"]["throttled_pct"] = {"power_cap": 0.0, "clocks_set": 80.0}

    finding = rules(made(tmp_path, full_case(steps=3), alter=alter))["held_back_by_setting"]
    assert finding.evidence == {"clocks_set_pct": 80.0}


def test_a_case_on_the_cpu_beside_a_gpu_says_why(tmp_path: Path) -> None:
    mismatch = "NVML does not answer: Driver/library version mismatch"
    assert mismatch in found(tmp_path, HOST, error=mismatch)["not_on_the_gpu"].text
    refused = HOST | {"torch_refuses_gpu": "Torch not compiled with CUDA enabled"}
    assert "not compiled with CUDA" in found(tmp_path, refused, driver="580")["not_on_the_gpu"].text
    assert "not_on_the_gpu" not in found(tmp_path, refused)
    assert "not_on_the_gpu" not in found(tmp_path, GPU, error=mismatch)


def test_memory_of_the_container_is_the_limit(tmp_path: Path) -> None:
    measures = {".*": {"sys_mem_bytes": 20e9, "container_mem_bytes": 9.5e9}}
    limited = made(tmp_path, full_case(steps=3), environment=GPU | {"mem_limit_bytes": 10**10}, measures=measures)
    assert rules(limited)["host_memory_margin"].evidence == {"container_mem_bytes": 9.5e9, "mem_limit_bytes": 1e10}
    assert "host_memory_margin" not in rules(made(tmp_path, full_case(steps=3), measures=measures))


def test_the_memory_that_ran_out_is_the_hosts_where_it_was_that(tmp_path: Path) -> None:
    message = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
    oom = Outcome("oom", message, "RuntimeError")
    limited = HOST | {"mem_limit_bytes": 8 * 10**9}
    for environment in (limited, GPU | limited | {"device": "cuda", "gpu": GPU["gpu"]}):
        case = made(tmp_path, full_case(steps=3), until="VAE_Decoding", outcome=oom, environment=environment)
        finding = rules(case)["out_of_memory"]
        assert "ran out of the host's memory in VAE_Decoding; 8.00 GB" in finding.text
        assert "gpu_mem_total_bytes" not in finding.evidence


def test_a_prompt_that_was_cut_is_told(tmp_path: Path) -> None:
    def ran(tokens: int) -> Any:
        return lambda trace: trace.update(ran={"guidance_on": True, "prompt_tokens": tokens})

    finding = rules(made(tmp_path, full_case(steps=3), alter=ran(731)))["prompt_cut"]
    assert finding.evidence == {"prompt_tokens_cut": 219.0}
    assert "prompt_cut" not in rules(made(tmp_path, full_case(steps=3), alter=ran(512)))


def test_the_appendix_has_limits_variables_and_refusals(tmp_path: Path) -> None:
    environment = GPU | {"cpu_quota_cores": 1.5, "cpu_cores_allowed": 16, "mem_limit_bytes": 8 * 10**9}
    environment |= {"variables": {"NCCL_DEBUG": "INFO", "LD_PRELOAD": None}, "cpu_governor": "performance"}
    telemetry = {"driver": "580", "refused": {"energy_j": "Not Supported"}, "state": {"ecc": True, "mig_mode": False}}

    def alter(trace: dict[str, Any]) -> None:
        trace["environment"]["gpu_telemetry"] = telemetry

    text = report(made(tmp_path, full_case(steps=3), environment=environment, alter=alter)).replace("\\", "")
    limits = ("1.5 cores of processor time", "8.00 GB of memory", "governor performance")
    for part in (*limits, "NCCL_DEBUG=INFO; LD_PRELOAD", "ECC on, MIG mode off", "energy_j: Not Supported"):
        assert part in text


@pytest.mark.parametrize(("guidance", "on", "text"), [(1.0, False, "off"), (5.0, True, "5"), (1.0, None, "off")])
def test_guidance_that_the_pipeline_turned_off_is_off(
    tmp_path: Path, guidance: float, on: bool | None, text: str
) -> None:
    def alter(trace: dict[str, Any]) -> None:
        trace["ran"] = None if on is None else {"guidance_on": on}

    assert f"guidance {text}, shift" in report(made(tmp_path, full_case(steps=3, guidance=guidance), alter=alter))
