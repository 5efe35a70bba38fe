"""Rules about what holds a machine below its own speed: variables, limits of a container, clocks, a GPU left unused."""

import re
from collections.abc import Iterator

import pandas as pd

from wanbench.findings.basis import NOTE, WARNING, Context, Finding, rule

# What each does, by name; the pattern is of the values that do it.
_SLOW: dict[str, tuple[str, str]] = {
    "CUDA_LAUNCH_BLOCKING": ("1", "the host waits for each kernel"),
    "NVIDIA_TF32_OVERRIDE": ("0", "float32 products get no tensor cores"),
    "CUDA_DEVICE_MAX_CONNECTIONS": ("1", "kernels and copies share one queue"),
    "CUDA_MODULE_LOADING": ("EAGER", "all kernels are loaded at the start"),
    "CUBLAS_WORKSPACE_CONFIG": (":16:8", "cuBLAS has a small workspace"),
    "TORCH_COMPILE_DEBUG": ("1", "compilation writes down all that it does"),
    "TRITON_INTERPRET": ("1", "Triton's kernels run in Python"),
    "PYTORCH_JIT": ("0", "scripted functions run in Python"),
    "ATEN_CPU_CAPABILITY": ("default", "torch does without the CPU's widest vector instructions"),
    "ONEDNN_MAX_CPU_ISA": ("(?!ALL|DEFAULT).*", "oneDNN does without the CPU's newest instructions"),
    "DNNL_MAX_CPU_ISA": ("(?!ALL|DEFAULT).*", "oneDNN does without the CPU's newest instructions"),
    "MKL_ENABLE_INSTRUCTIONS": (".*", "MKL does without the CPU's newest instructions"),
    "MKL_DEBUG_CPU_TYPE": (".*", "MKL takes the CPU for another"),
    "NCCL_P2P_DISABLE": ("1", "GPUs exchange data by way of the host"),
    "NCCL_SHM_DISABLE": ("1", "GPUs exchange data by way of the network"),
    "OMP_WAIT_POLICY": ("PASSIVE", "threads sleep between loops"),
    "PYTHONMALLOC": ("debug|malloc_debug|pymalloc_debug", "Python checks its memory"),
    "PYTHONDEVMODE": (".+", "Python checks itself"),
    "PYTHONTRACEMALLOC": ("(?!0).*", "Python notes who allocates"),
}

_OF_GPUS = ("CUDA_", "CUBLAS_", "NVIDIA_", "NCCL_")


@rule(
    "An environment variable that is known to slow things down was set. The appendix has all that change speed. "
    "Whether it matters depends on the case: it was not measured."
)
def slow_variables(context: Context) -> Iterator[Finding]:
    text = context.case["variables"]
    if pd.isna(text):
        return
    values = dict(entry.partition("=")[::2] for entry in text.split("; "))
    matter = [name for name in values if name in _SLOW and not (context.on_the_cpu and name.startswith(_OF_GPUS))]
    found = [name for name in matter if re.fullmatch(_SLOW[name][0], values[name], re.IGNORECASE)]
    if found:
        named = "; ".join(f"`{name}={values[name]}` ({_SLOW[name][1]})" for name in found)
        advice = f"Unset {', '.join(f'`{name}`' for name in found)} and run the case again."
        said = f"The environment holds what can slow the case down: {named}."
        yield Finding("slow_variables", WARNING, {"variables": float(len(found))}, said, advice)


@rule(
    "The container, or who started the case, allows less processor time than the machine's cores have. What runs on "
    "the CPU (loading, offloading, launching, export) takes longer; on the CPU alone, everything."
)
def few_cores(context: Context) -> Iterator[Finding]:
    evidence = context.numbers("cpu_quota_cores", "cpu_cores_allowed", "cpu_cores_logical")
    logical = evidence.get("cpu_cores_logical")
    usable = min(evidence[key] for key in evidence) if evidence else None
    if logical is None or usable is None or usable >= logical:
        return
    by = "a CPU quota" if usable == evidence.get("cpu_quota_cores") else "an affinity or a cpuset"
    text = f"The case had {usable:g} of the machine's {logical:g} cores ({by})."
    severity = WARNING if usable < _FEW_CORES else NOTE
    yield Finding("few_cores", severity, evidence, text, "Give its container more." if severity == WARNING else "")


@rule(
    "Somebody set the clock of the GPU's multiprocessors, or its power limit, below what it is delivered with; or NVML "
    "names such clocks as what held it back in more than `slowed_down_pct` of the samples."
)
def held_back_by_setting(context: Context) -> Iterator[Finding]:
    for what, unit, (key, default) in (
        ("clock", "MHz", ("gpu_sm_clock_set_mhz", "gpu_sm_clock_default_mhz")),
        ("power limit", "W", ("gpu_power_limit_w", "gpu_power_limit_default_w")),
    ):
        evidence = context.numbers(key, default)
        if len(evidence) == 2 and evidence[key] < evidence[default]:
            text = (
                f"The GPU's {what} is set to {evidence[key]:.0f} {unit}; it is delivered with {evidence[default]:.0f}."
            )
            yield Finding("held_back_by_setting", NOTE, evidence, text)
    share = context.number("clocks_set_pct")
    if share is not None and share > context.thresholds.slowed_down_pct:
        text = f"Clocks that somebody set held the GPU back in {share:.1f} % of the samples."
        advice = "`nvidia-smi --reset-gpu-clocks` and `--reset-applications-clocks` give it its own."
        yield Finding("held_back_by_setting", NOTE, {"clocks_set_pct": share}, text, advice)


@rule("The case ran on the CPU of a machine that has, or may have, an NVIDIA GPU. Its figures are those of the CPU.")
def not_on_the_gpu(context: Context) -> Iterator[Finding]:
    if not context.on_the_cpu:
        return
    error, torch_says = context.case["gpu_telemetry_error"], context.case["torch_refuses_gpu"]
    if pd.notna(error):
        yield Finding("not_on_the_gpu", WARNING, {}, f"The case ran on the CPU: {error}.")
    elif pd.notna(context.case["gpu_driver"]) and pd.notna(torch_says):
        yield Finding("not_on_the_gpu", WARNING, {}, f"The case ran on the CPU, beside a GPU. Torch says: {torch_says}")


# Below this the threads of one process wait for each other even beside a GPU: Python, the loader's and CUDA's.
_FEW_CORES = 2
RULES = (slow_variables, few_cores, held_back_by_setting, not_on_the_gpu)
