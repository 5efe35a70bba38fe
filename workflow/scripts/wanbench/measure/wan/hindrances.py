"""What of the environment keeps a case from being what it says, found before any weights are made."""

import os
import re
import shutil
import subprocess

import imageio_ffmpeg
import torch
from torch._inductor.cpp_builder import get_cpp_compiler

from wanbench.cases.case import Case

_COMPILATION_OFF = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")
# What torch._inductor.cpp_builder, which joins its command with blanks, takes apart again with shlex.
_SPLITTING = re.compile(r"[\s'\"\\]")
_NO_CACHING = "PYTORCH_NO_CUDA_MEMORY_CACHING"


def hindrance(case: Case, device: torch.device) -> str | None:
    """What is in the way, and what to do about it; None where nothing is."""
    # Whatever its value (c10/cuda/CUDACachingAllocator.cpp): then torch counts no memory, and zeros would be told.
    if device.type == "cuda" and _NO_CACHING in os.environ:
        return f"{_NO_CACHING} is set: torch then does not count the memory that it allocates; unset it"
    if reason := _no_encoder():
        return reason
    return None if case.compile == "none" else _no_compilation(case.compile, device)


def _no_encoder() -> str | None:
    """Why the video could not be written in the end."""
    try:
        imageio_ffmpeg.get_ffmpeg_version()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return f"ffmpeg does not run here ({error}); imageio-ffmpeg brings one, and IMAGEIO_FFMPEG_EXE may name another"
    return None


def _no_compilation(what: str, device: torch.device) -> str | None:
    """Why torch.compile would do nothing here, or fail in the first step."""
    off = next((name for name in _COMPILATION_OFF if os.environ.get(name) == "1"), None)
    if off is not None:
        return f"compile: {what}: {off}=1 in the environment turns compilation off; unset it"
    if device.type == "cpu":
        for folder in (os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""), torch.__file__):
            if _SPLITTING.search(folder):
                why = "torch gives its C++ compiler no path with a blank, a quote or a backslash in it"
                return f"compile: {what}: {why}, and {folder} has one; move the project, or Python's environment"
        try:
            get_cpp_compiler()
        except RuntimeError:
            return f"compile: {what} needs a C++ compiler, and {os.environ.get('CXX') or 'g++'} does not run here"
        return None
    # As Triton looks for it (triton/runtime/build.py).
    if any(map(shutil.which, [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"])):
        return None
    return f"compile: {what} needs a C compiler, and there is neither CC, gcc nor clang here"
