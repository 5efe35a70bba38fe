"""The stock diffusers Wan pipelines: made, set up, observed and run. Nothing of them is replaced."""

import ctypes
from importlib.util import find_spec
from pathlib import Path


def _load_cuda12_runtime() -> None:
    """CUDA 12's runtime beside another CUDA: the FlashAttention-3 that xformers 0.0.34 holds is linked against it."""
    nvidia = find_spec("nvidia")
    if nvidia is None or find_spec("xformers") is None:
        return
    for folder in nvidia.submodule_search_locations or ():
        if (file := Path(folder, "cuda_runtime/lib/libcudart.so.12")).is_file():
            ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)


# Before diffusers imports xformers.
_load_cuda12_runtime()
