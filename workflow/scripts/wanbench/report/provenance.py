"""What a case (a row of the cases table) ran on and with, in words."""

import pandas as pd

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.numbers import gigabytes

_UNKNOWN = "unknown: the process ended before it said"


def machine(case: CaseRow, gpu_letter: str | None) -> str:
    """GPU, so that it can be told from others of its name, and host.

    Args:
        gpu_letter: what the report calls the GPU where there are several.
    """
    if pd.isna(case["device"]):
        return host(case)
    if case["device"] == "cpu":
        processes = "" if case["gpus"] == 1 else f", in {case['gpus']} processes"
        return f"the CPU, without a GPU{processes}; {host(case)}"
    letter = "" if gpu_letter is None else f"GPU {gpu_letter}: "
    more = "" if case["gpus"] == 1 else f" and {case['gpus'] - 1} more"
    uuid = "" if pd.isna(case["gpu_uuid"]) else f" ({letter}{case['gpu_uuid']}{more})"
    return f"{gpu(case)}{uuid}; {host(case)}"


def gpu(case: CaseRow) -> str:
    """GPU, its memory and what drives it; of several, how many and what each has."""
    if pd.isna(case["device"]):
        return _UNKNOWN
    if case["device"] == "cpu":
        return "none, ran on the CPU"
    parts = [gpu_with_count(case), f"{gigabytes(case['gpu_mem_total_bytes'])} GB"]
    parts += [f"compute capability {case['gpu_compute_capability']}", f"CUDA {case['cuda']}"]
    parts += [] if pd.isna(case["gpu_driver"]) else [f"driver {case['gpu_driver']}"]
    parts += [] if pd.isna(case["gpu_power_limit_w"]) else [f"power limit {case['gpu_power_limit_w']:.0f} W"]
    return ", ".join(parts)


def gpu_with_count(case: CaseRow) -> str:
    """Name of the GPU, with how many of them worked on the case where it is not one."""
    return case["gpu_name"] if case["gpus"] == 1 else f"{case['gpus']} x {case['gpu_name']}"


def host(case: CaseRow) -> str:
    """Processor and memory of the machine."""
    if pd.isna(case["sys_mem_total_bytes"]):
        return _UNKNOWN
    cores = f"{case['cpu_cores_logical']} logical cores, {case['cpu_threads_torch']} threads of torch"
    return f"{case['cpu_name']}, {cores}, {gigabytes(case['sys_mem_total_bytes'])} GB, {case['platform']}"


def software(case: CaseRow) -> str:
    """Versions of what the measuring process ran."""
    if pd.isna(case["packages"]):
        return _UNKNOWN
    return ", ".join([f"Python {case['python']}", *(item.replace("=", " ", 1) for item in case["packages"].split())])


def deployment(case: CaseRow) -> str:
    """Where the software was from."""
    if pd.isna(case["software_deployment"]):
        return "with or without conda: n/a"
    return "without conda" if pd.isna(case["conda_env"]) else f"conda environment {case['conda_env']}"


def code(case: CaseRow) -> str:
    """Commit of the measuring code."""
    if pd.isna(case["git_commit"]):
        return "unknown commit"
    changed = pd.notna(case["git_dirty"]) and case["git_dirty"]
    return f"commit {case['git_commit'][:12]}{', with changes' if changed else ''}"


def weights(case: CaseRow) -> str:
    """Where the weights are from."""
    if case["weights"] != "pretrained":
        return f"random, {case['scale']} scale"
    return case["checkpoint"] + ("" if pd.isna(case["revision"]) else f" at {case['revision']}")
