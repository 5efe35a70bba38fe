"""Rules about what holds a machine below its own speed: variables, limits of a container, clocks, a GPU left unused."""

import re
from collections.abc import Iterator

from wanbench.findings.basis import NOTE, WARNING, Context, Found

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
    "NCCL_P2P_DISABLE": ("1", "GPUs exchange data by way of the host"),
    "NCCL_SHM_DISABLE": ("1", "GPUs exchange data by way of the network"),
    "OMP_WAIT_POLICY": ("PASSIVE", "threads sleep between loops"),
    "PYTHONMALLOC": ("debug|malloc_debug|pymalloc_debug", "Python checks its memory"),
    "PYTHONDEVMODE": (".+", "Python checks itself"),
    "PYTHONTRACEMALLOC": ("(?!0).*", "Python notes who allocates"),
}

_OF_GPUS = ("CUDA_", "CUBLAS_", "NVIDIA_", "NCCL_")


def slow_variables(context: Context) -> Iterator[Found]:
    text = context.case["variables"]
    if text is None:
        return
    values = dict(entry.partition("=")[::2] for entry in text.split("; "))
    matter = [name for name in values if name in _SLOW and not (context.on_the_cpu and name.startswith(_OF_GPUS))]
    found = [name for name in matter if re.fullmatch(_SLOW[name][0], values[name], re.IGNORECASE)]
    if found:
        said = {"slow": [(name, values[name], _SLOW[name][1]) for name in found]}
        yield Found(WARNING, {"variables": float(len(found))}, said=said)


def few_cores(context: Context) -> Iterator[Found]:
    evidence = context.numbers("cpu_quota_cores", "cpu_cores_allowed", "cpu_cores_logical")
    usable = min(evidence.values(), default=_FEW_CORES)
    if usable < min(_FEW_CORES, evidence.get("cpu_cores_logical", 0)):
        yield Found(WARNING, evidence, said={"usable": usable, "by_quota": usable == evidence.get("cpu_quota_cores")})


def held_back_by_setting(context: Context) -> Iterator[Found]:
    for what, unit, set_to, delivered in (
        ("clock", "MHz", "gpu_sm_clock_set_mhz", "gpu_sm_clock_default_mhz"),
        ("power limit", "W", "gpu_power_limit_w", "gpu_power_limit_default_w"),
    ):
        evidence = context.numbers(set_to, delivered)
        if len(evidence) == 2 and evidence[set_to] < evidence[delivered]:
            yield Found(NOTE, evidence, said={"what": what, "unit": unit})
    share = context.number("clocks_set_pct")
    if share is not None and share > context.thresholds.slowed_down_pct:
        yield Found(NOTE, {"clocks_set_pct": share}, said={"share": share})


def not_on_the_gpu(context: Context) -> Iterator[Found]:
    error, torch_says = context.case["gpu_telemetry_error"], context.case["torch_refuses_gpu"]
    if context.on_the_cpu and (error is not None or (context.case["gpu_driver"] and torch_says)):
        yield Found(WARNING, {}, said={"why": error or f"torch refuses the GPU beside it ({torch_says})"})


# Below this the threads of one process wait for each other even beside a GPU: Python, the loader's and CUDA's.
_FEW_CORES = 2
RULES = (slow_variables, few_cores, held_back_by_setting, not_on_the_gpu)
