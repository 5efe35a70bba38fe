"""Environment variables that change how torch, CUDA, the maths libraries, the allocator or the compiler run.

A trace has their names, and their values where these can hold no path, no address and no secret.
"""

import re
from collections.abc import Mapping

from wanbench.util.redaction import is_secret_name, redacted_message

# By how they begin: a new variable of a family needs no new row.
_FAMILIES = (
    *("TORCH", "PYTORCH_", "ATEN_", "AOT", "INDUCTOR_", "TRITON_", "KINETO_", "GLOO_"),
    *("CUDA_", "CUDNN_", "CUBLAS", "CUFFT_", "CUSOLVER", "CUTLASS_", "CUTEDSL_"),
    *("NCCL_", "NVIDIA_TF32_OVERRIDE", "NSYS_"),
    *("ONEDNN_", "DNNL_", "MKL_", "MKLDNN_", "OMP_", "KMP_", "GOMP_", "OPENBLAS_", "GOTO_", "BLIS_", "NVPL_", "TBB_"),
    *("MALLOC_", "MIMALLOC_", "TCMALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "LD_BIND_NOW", "PYTHONMALLOC"),
    *("ACCELERATE_", "DIFFUSERS_", "XFORMERS_", "FLASH_ATTENTION_", "HF_ENABLE_PARALLEL", "USE_HUB_KERNELS"),
    *("PYTHONDEVMODE", "PYTHONTRACEMALLOC", "PYTHONOPTIMIZE", "CXX$", "CC$", "CFLAGS", "CPPFLAGS", "UCX_"),
)
_OF_A_FAMILY = re.compile(f"(?:{'|'.join(_FAMILIES)})")
_NAME = re.compile("[A-Z][A-Z0-9_]{0,99}")
# Set for every case by the supervisor or by Snakemake, or said elsewhere in the trace; and what images say of how they
# were built.
_OTHERWISE_KNOWN = re.compile(
    "(OMP|MKL|OPENBLAS|GOTO)_NUM_THREADS|TORCHINDUCTOR_CACHE_DIR|CUDA_VISIBLE_DEVICES|TORCH_CUDA_ARCH_LIST|"
    "(CUDA|CUDNN|NCCL|TORCH|PYTORCH)_(VERSION|HOME|PATH|ROOT)"
)
# Neither slash nor @, no address of four numbers, and no semicolon, which stands between them in tables; a long run of
# letters and digits may be a key.
_PLAIN = re.compile(r"(?!.*\d\.\d+\.\d+\.\d)(?!.*[A-Za-z0-9]{20})[\w.,:=+%\[\]{} -]{0,100}", re.ASCII)


def variables_of_speed(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Values by name, sorted, of those that are not empty; None for one whose value is not kept."""
    of_speed = (name for name in environment if _NAME.fullmatch(name) and _OF_A_FAMILY.match(name))
    names = sorted(name for name in of_speed if environment[name] and not _OTHERWISE_KNOWN.fullmatch(name))
    return {name: environment[name] if _may_be_kept(name, environment[name]) else None for name in names}


def _may_be_kept(name: str, value: str) -> bool:
    return bool(_PLAIN.fullmatch(value)) and not is_secret_name(name) and redacted_message(value) == value
