"""Findings about what a case ran out of or was held back by, the settings that should fit, and several GPUs."""

from pathlib import Path
from typing import Any

from reports import findings, fired, found_in_each, full_case, made, report, rules, rules_by_case
from traces import GPU, HOST, gpu_with
from wanbench.measure.outcome import Outcome
from wanbench.trace.reader import Trace

MESSAGE = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 39.39 GiB"
GB = 10**9


def gpu_of(size_gb: float) -> dict[str, Any]:
    return gpu_with(name="Some GPU", mem_total_bytes=round(size_gb * GB))


def out_of_memory(folder: Path, size_gb: float, name: str = "full", **settings: Any) -> Trace:
    outcome = Outcome("oom", MESSAGE, "OutOfMemoryError")
    case = full_case(name, **{"steps": 3} | settings)
    return made(folder, case, until="VAE_Decoding", outcome=outcome, environment=gpu_of(size_gb))


def test_the_cheapest_settings_that_fit(tmp_path: Path) -> None:
    expected: list[tuple[float, dict[str, Any], tuple[tuple[str, ...], ...]]] = [
        (33.5, {}, (("vae_dtype: bfloat16", "vae_tiling: true"), ("offload: model",))),
        (36, {"vae_dtype": "bfloat16"}, (("vae_tiling: true",), ("offload: model",))),
        (7, {}, (("offload: group_stream", "vae_dtype: bfloat16", "vae_tiling: true"),)),
        # Hooks on every layer do not go with compilation.
        (9, {"compile": "repeated_blocks", "vae_tiling": True}, (("offload: group_stream", "compile: none"),)),
        (4, {}, ()),
        # As on a card of 20 GB, whatever this one has.
        (150, {"gpu_memory_gb": 20}, (("offload: model", "vae_dtype: bfloat16"),)),
        # It would fit: something else held memory.
        (150, {}, ()),
    ]
    cases = [out_of_memory(tmp_path, size_gb, f"{i}", **settings) for i, (size_gb, settings, _) in enumerate(expected)]
    found = rules_by_case(*cases)
    for i, (size_gb, settings, advised) in enumerate(expected):
        finding = found[f"{i}"]["out_of_memory"]
        assert finding.advised == advised, (size_gb, settings)
        assert ("what else held memory" in finding.advice) == (advised == () and size_gb == 150)


def margin(folder: Path, peak_gb: int, measures: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    case = full_case(steps=3, **settings)
    return rules(made(folder, case, peak_bytes=peak_gb * GB, measures=measures, environment=gpu_of(80)))


def test_the_margin_of_gpu_memory(tmp_path: Path) -> None:
    def used(reserved_gb: int, used_gb: int) -> dict[str, Any]:
        return {"VAE_Decoding": {"gpu_mem_reserved_bytes": reserved_gb * GB, "gpu_mem_used_bytes": used_gb * GB}}

    finding = margin(tmp_path, 75)["vram_margin"]
    assert finding.evidence == {"gpu_mem_allocated_bytes": 75e9, "gpu_mem_total_bytes": 80e9}
    assert finding.advised == (("vae_dtype: bfloat16",), ("offload: model",))
    assert "vram_margin" not in margin(tmp_path, 60)
    # What others hold counts, and what the allocator keeps does not.
    assert margin(tmp_path, 60, used(62, 76))["vram_margin"].evidence["outside_torch_bytes"] == 14e9
    assert "vram_margin" not in margin(tmp_path, 60, used(76, 78))


def test_the_margin_of_host_memory(tmp_path: Path) -> None:
    def held(offload: str = "model", **options: Any) -> dict[str, Any]:
        return {"settings": {"offload": offload}, "measures": {".*": {"sys_mem_bytes": 120e9}}} | options

    failed = {"outcome": Outcome("oom", MESSAGE, "OutOfMemoryError"), "until": "VAE_Decoding"}
    in_container = {"measures": {".*": {"sys_mem_bytes": 20e9, "container_mem_bytes": 9.5e9}}}
    limited = in_container | {"environment": GPU | {"mem_limit_bytes": 10**10}}
    runs = held(), held("none"), held(environment=gpu_of(20)), held(**failed), limited, in_container, {}
    *near, limited, free, far = (found.get("host_memory_margin") for found in found_in_each(tmp_path, *runs, steps=3))
    assert [finding.advised for finding in near] == [(("offload: none",),), (), (), ()]
    assert limited.evidence == {"container_mem_bytes": 9.5e9, "mem_limit_bytes": 1e10}
    assert free is far is None


def test_a_case_that_ran_out_of_time_is_told_and_another_end_is_not(tmp_path: Path) -> None:
    expected: list[tuple[str, dict[str, Any], str, str]] = [
        # 5 s to start, 2 to initialise, 0.75 to encode, six steps of 2 s and 0.5 s to end.
        ("Step_6", {}, "with 6 of 10 steps done; at 2.00 s/step the others take 8.00 s", "`timeout_s: 43`"),
        ("Step_3", {"steps": 5, "warmup": 1}, "3 of 10 steps done; at 2.00 s/step the others take 14.00 s", "Set"),
        ("Step_6", {"timeout_s": 14400}, "with 6 of 10 steps done", "`timeout_s: 14400` should do"),
        ("Step_0", {}, "with 0 of 10 steps done.", "Raise `timeout_s`."),
    ]
    killed = Outcome("killed", "ended by signal SIGKILL")
    traces = [made(tmp_path, full_case("killed", steps=9, timeout_s=20), until="Step_6", outcome=killed)]
    for i, (until, settings, *_) in enumerate(expected):
        case = full_case(f"{i}", **{"steps": 10, "timeout_s": 20} | settings)
        traces.append(made(tmp_path, case, until=until, outcome=Outcome("timeout", "ended")))
    found = rules_by_case(*traces)
    assert "timed_out" not in found["killed"]
    for i, (*_, words, advice) in enumerate(expected):
        finding = found[f"{i}"]["timed_out"]
        assert finding.severity == "warning"
        assert words in finding.text
        assert advice in finding.advice


def on(environment: dict[str, Any], **telemetry: Any) -> dict[str, Any]:
    """A run in an environment, on a GPU whose telemetry says that."""

    def alter(trace: dict[str, Any]) -> None:
        if telemetry:
            trace["environment"]["gpu_telemetry"] = telemetry

    return {"environment": environment, "alter": alter}


def test_a_variable_that_slows_things_down_is_named(tmp_path: Path) -> None:
    variables = {"CUDA_LAUNCH_BLOCKING": "1", "TORCH_LOGS": None, "ONEDNN_MAX_CPU_ISA": "ALL"}
    of_cpu = {"CUDA_LAUNCH_BLOCKING": "1", "ATEN_CPU_CAPABILITY": "default"}
    environments = GPU | {"variables": variables}, HOST | {"variables": of_cpu}
    harmless = GPU | {"variables": {"CUDA_LAUNCH_BLOCKING": "0"}}, GPU
    slow, on_cpu, *others = found_in_each(tmp_path, *map(on, (*environments, *harmless)))
    assert slow["slow_variables"].evidence == {"variables": 1.0}
    assert "`CUDA_LAUNCH_BLOCKING=1`" in slow["slow_variables"].text
    # Those of GPUs slow nothing on the CPU.
    assert "down: `ATEN_CPU_CAPABILITY=default`" in on_cpu["slow_variables"].text
    assert not any("slow_variables" in found for found in others)


def test_less_than_two_cores_are_told(tmp_path: Path) -> None:
    # Quota, and cores that the process may use.
    limits = [(0.5, 16), (None, 1), (8.0, 16), (None, None)]
    runs = (on(GPU | {"cpu_quota_cores": quota, "cpu_cores_allowed": allowed}) for quota, allowed in limits)
    assert ["few_cores" in found for found in found_in_each(tmp_path, *runs)] == [True, True, False, False]


def test_clocks_and_power_below_what_is_delivered_are_told(tmp_path: Path) -> None:
    def clocks_set(trace: dict[str, Any]) -> None:
        trace["quality"]["throttled_pct"] = {"power_cap": 0.0, "clocks_set": 80.0}

    def of(sm_mhz: int, power_w: float) -> dict[str, Any]:
        state = {"sm_clock_set_mhz": sm_mhz, "sm_clock_default_mhz": 1980, "power_limit_default_w": 700.0}
        return on(GPU, driver="580", power_limit_w=power_w, state=state)

    runs = of(1200, 700.0), of(1980, 500.0), {"alter": clocks_set}, of(1980, 700.0)
    *held, free = found_in_each(tmp_path, *runs)
    assert [found["held_back_by_setting"].evidence for found in held] == [
        {"gpu_sm_clock_set_mhz": 1200.0, "gpu_sm_clock_default_mhz": 1980.0},
        {"gpu_power_limit_w": 500.0, "gpu_power_limit_default_w": 700.0},
        {"clocks_set_pct": 80.0},
    ]
    assert "held_back_by_setting" not in free


def test_a_case_on_the_cpu_beside_a_gpu_says_why(tmp_path: Path) -> None:
    mismatch = "NVML does not answer: Driver/library version mismatch"
    refused = HOST | {"torch_refuses_gpu": "Torch not compiled with CUDA enabled"}
    runs = on(HOST, error=mismatch), on(refused, driver="580"), on(refused), on(GPU, error=mismatch)
    by_nvml, by_torch, *others = found_in_each(tmp_path, *runs)
    assert mismatch in by_nvml["not_on_the_gpu"].text
    assert "not compiled with CUDA" in by_torch["not_on_the_gpu"].text
    assert not any("not_on_the_gpu" in found for found in others)


def test_the_memory_that_ran_out_is_the_hosts_where_it_was_that(tmp_path: Path) -> None:
    message = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
    limited = {"mem_limit_bytes": 8 * 10**9}
    on_cpu, on_gpu = ({"until": "VAE_Decoding", "environment": each | limited} for each in (HOST, GPU))
    by_torch, by_python = Outcome("oom", message, "RuntimeError"), Outcome("oom", "", "MemoryError")
    runs = on_cpu | {"outcome": by_torch}, on_gpu | {"outcome": by_torch}, on_gpu | {"outcome": by_python}
    for found in found_in_each(tmp_path, *runs):
        assert "ran out of the host's memory in VAE_Decoding; 8.00 GB" in found["out_of_memory"].text
        assert "gpu_mem_total_bytes" not in found["out_of_memory"].evidence


def test_a_prompt_that_was_cut_is_told(tmp_path: Path) -> None:
    def ran(tokens: int) -> dict[str, Any]:
        return {"alter": lambda trace: trace.update(ran={"guidance_on": True, "prompt_tokens": tokens})}

    cut, whole = found_in_each(tmp_path, ran(731), ran(512))
    assert cut["prompt_cut"].evidence == {"prompt_tokens_cut": 219.0}
    assert "prompt_cut" not in whole


def test_guidance_that_the_pipeline_turned_off_is_off(tmp_path: Path) -> None:
    on, off = ({"guidance_on": whether} for whether in (True, False))
    # Older traces do not say whether it was on.
    for guidance, ran, text in ((1.0, off, "off"), (5.0, on, "5"), (1.0, None, "off")):
        case = full_case(steps=3, guidance=guidance)
        trace = made(tmp_path, case, alter=lambda content, ran=ran: content.update(ran=ran))
        assert f"guidance {text}, shift" in report(trace)


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
