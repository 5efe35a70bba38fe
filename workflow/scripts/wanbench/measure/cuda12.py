"""CUDA 12's runtime beside another CUDA: the FlashAttention-3 that xformers 0.0.34 holds is linked against it."""

import ctypes
from importlib.util import find_spec
from pathlib import Path

_FILE = "cuda_runtime/lib/libcudart.so.12"


def load_cuda12_runtime() -> None:
    """Load libcudart.so.12 of the package nvidia-cuda-runtime-cu12, where that and xformers are installed."""
    nvidia = find_spec("nvidia")
    if nvidia is None or find_spec("xformers") is None:
        return
    for folder in nvidia.submodule_search_locations or ():
        if (file := Path(folder, _FILE)).is_file():
            ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
