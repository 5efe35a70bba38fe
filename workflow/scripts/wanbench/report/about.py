"""What the cases of a report ran on and with: one row a fact."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.analysis.mfu import MEASURED, peak_flops_per_s
from wanbench.analysis.numbers import gigabytes, plain, some


def about(cases: pd.DataFrame) -> dict[str, str]:
    """Facts by name, as Markdown; where cases differ, every variant is named with its count."""
    facts: Mapping[str, Callable[[CaseRow], Any]] = {
        "GPU": _gpu,
        "GPU UUID": lambda case: case["gpu_uuid"],
        "Driver, CUDA": _driver,
        "GPU telemetry": _telemetry,
        "GPU as set": _gpu_state,
        "Peak for MFU": _peak,
        "CPU": _cpu,
        "Limits of the container": _container,
        "Variables that change speed": lambda case: None if pd.isna(case["variables"]) else case["variables"] or "none",
        "System": lambda case: case["platform"],
        "Python": lambda case: case["python"],
        "Packages": lambda case: None if pd.isna(case["packages"]) else case["packages"].replace("=", " "),
        "Conda": lambda case: case["conda_env"] if pd.notna(case["conda_env"]) else "none",
        "Measuring code": _code,
        "Weights": _weights,
        "Prompt": lambda case: case["prompt"],
        "Image": _image,
        "LoRA": _loras,
    }
    rows = case_rows(cases)
    texts = {"Measured": _dates(cases), "Matrix products": _matrix_rate(cases)}
    texts |= {name: _variants([fact(case) for case in rows]) for name, fact in facts.items()}
    return {name: text for name, text in texts.items() if text}


def _loras(case: CaseRow) -> str | None:
    files = [case[key] for key in ("lora", "lora_low_noise") if pd.notna(case[key])]
    return f"{' and '.join(files)}, weight {case['lora_weight']:g}" if files else None


def gpu_with_count(case: CaseRow) -> str:
    """Name of the GPU, with how many of them worked on the case where it is not one."""
    return case["gpu_name"] if case["gpus"] == 1 else f"{case['gpus']} x {case['gpu_name']}"


def _variants(values: list[Any]) -> str:
    known = pd.Series(values, dtype=object).dropna()
    counts = known.astype(str).value_counts()
    if len(counts) == 1 and len(known) == len(values):
        return plain(counts.index[0])
    return some([f"{plain(text)} ({count} case{'s' if count > 1 else ''})" for text, count in counts.items()], "; ")


def _gpu(case: CaseRow) -> str | None:
    if pd.isna(case["device"]):
        return None
    if case["device"] == "cpu":
        return "none: ran on the CPU"
    limit = "" if pd.isna(case["gpu_power_limit_w"]) else f", power limit {case['gpu_power_limit_w']:.0f} W"
    return f"{gpu_with_count(case)}, {gigabytes(case['gpu_mem_total_bytes'])} GB{limit}"


def _cpu(case: CaseRow) -> str | None:
    if pd.isna(case["cpu_name"]):
        return None
    cores = f"{case['cpu_cores_logical']} cores, {case['cpu_threads_torch']} threads of torch"
    if pd.notna(case["cpu_governor"]):
        cores += f", governor {case['cpu_governor']}"
    return f"{case['cpu_name']}, {cores}, {gigabytes(case['sys_mem_total_bytes'])} GB of memory"


def _telemetry(case: CaseRow) -> str | None:
    if pd.notna(case["gpu_telemetry_error"]):
        return case["gpu_telemetry_error"]
    refused = case["gpu_refused"]
    return f"NVML did not tell {refused}" if pd.notna(refused) and refused else None


def _gpu_state(case: CaseRow) -> str | None:
    switches = {"gpu_persistence_mode": "persistence mode", "gpu_ecc": "ECC", "gpu_mig_mode": "MIG mode"}
    parts = [f"{name} {'on' if case[key] else 'off'}" for key, name in switches.items() if pd.notna(case[key])]
    if pd.notna(case["gpu_sm_clock_set_mhz"]):
        parts.append(f"SM clock set to {case['gpu_sm_clock_set_mhz']:.0f} MHz")
    return ", ".join(parts) or None


def _container(case: CaseRow) -> str | None:
    """None where there is no limit, and in an older trace, which does not say."""
    parts = []
    if pd.notna(case["cpu_quota_cores"]):
        parts.append(f"{case['cpu_quota_cores']:g} cores of processor time (CPU quota)")
    if pd.notna(case["cpu_cores_allowed"]) and case["cpu_cores_allowed"] != case["cpu_cores_logical"]:
        parts.append(f"{case['cpu_cores_allowed']} of the machine's cores")
    if pd.notna(case["mem_limit_bytes"]):
        parts.append(f"{gigabytes(case['mem_limit_bytes'])} GB of memory")
    return ", ".join(parts) or None


def _driver(case: CaseRow) -> str | None:
    if pd.isna(case["gpu_name"]):
        return None
    driver = "" if pd.isna(case["gpu_driver"]) else f"driver {case['gpu_driver']}, "
    return f"{driver}CUDA {case['cuda']}, compute capability {case['gpu_compute_capability']}"


def _peak(case: CaseRow) -> str | None:
    name, measured = (case[key] if pd.notna(case[key]) else None for key in ("gpu_name", "matmul_flops_per_s"))
    peak = peak_flops_per_s(name, measured)
    if peak is None:
        return None
    if peak[1] == MEASURED:
        return "the rate of matrix products that each case measured"
    return f"{peak[0] / 1e12:.1f} TFLOP/s, dense bfloat16 ({peak[1]})"


def _code(case: CaseRow) -> str:
    if pd.isna(case["git_commit"]):
        return "unknown commit (no git repository of its own, as of a downloaded archive)"
    which = f" of {case['git_changed']}" if pd.notna(case["git_changed"]) else ""
    changed = f", with changes{which}" if pd.notna(case["git_dirty"]) and case["git_dirty"] else ""
    return f"commit {case['git_commit'][:12]}{changed}"


def _image(case: CaseRow) -> str | None:
    changes = "" if pd.isna(case["image_changes"]) else f" ({case['image_changes']})"
    return None if pd.isna(case["image"]) else f"{case['image']}{changes}"


def _weights(case: CaseRow) -> str:
    if case["weights"] != "pretrained":
        return f"random, {case['scale']} scale"
    return case["checkpoint"] + ("" if pd.isna(case["revision"]) else f" at {case['revision']}")


def _dates(cases: pd.DataFrame) -> str:
    begun = pd.to_datetime(cases["started_at"], format="ISO8601", utc=True)
    ended = begun + pd.to_timedelta(cases["total_duration_s"].astype(float), unit="s")
    if begun.isna().all():
        return ""
    first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (begun.min(), ended.max()))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def _matrix_rate(cases: pd.DataFrame) -> str:
    """Rates of bfloat16 matrix products, which each case measures at its end on its warm GPU."""
    rates = cases["matmul_flops_per_s"].dropna() / 1e12
    if rates.empty:
        return ""
    spread = f", {rates.min():.0f} to {rates.max():.0f} in {len(rates)} cases" if len(rates) > 1 else ""
    return f"{rates.median():.0f} TFLOP/s in bfloat16{spread}"
