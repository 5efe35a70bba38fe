"""What keeps a case from being measured as it says, found before any weights are made."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import imageio_ffmpeg
import torch
from torch._inductor.cpp_builder import get_cpp_compiler

from wanbench.cases.case import Case
from wanbench.cases.first_frame import problem_of_image
from wanbench.cases.scale import is_full_scale
from wanbench.measure.environment import version_of
from wanbench.registry.settings import ROWS
from wanbench.telemetry.gpus import find_gpus
from wanbench.util.paths import named_path

# What torch._inductor.cpp_builder, which joins its command with blanks, takes apart again with shlex.
_SPLITTING = re.compile(r"[\s'\"\\]")
_NO_CACHING = "PYTORCH_NO_CUDA_MEMORY_CACHING"
# Ada; torchao refuses what is older.
_FP8_CAPABILITY = (8, 9)


class SettingError(RuntimeError):
    """A setting that was asked for is not in force: measuring would report what did not run."""


def check_gpu(gpu: dict[str, Any] | None, taken: list[str]) -> None:
    """Raise SettingError for a GPU that another case may have, and whose samples would not be in the trace."""
    # Of a MIG instance it proves nothing: torch may name the whole GPU.
    is_known = gpu is not None and taken and not taken[0].startswith("MIG-")
    if is_known and gpu["uuid"] not in taken:
        raise SettingError(f"torch computes on {gpu['uuid']}, and this case has {', '.join(taken)}")


def check_enough_gpus(case: Case, device: torch.device, given: int) -> None:
    """Raise SettingError for a case on more GPUs than the number that NVML knows of and that are `given` to it."""
    if case.gpus > max(1, given) and (given or device.type == "cuda"):
        reason = find_gpus(os.environ).reason
        known = f"NVML knows of {given} that may be used here{f' ({reason})' if reason else ''}"
        raise SettingError(f"gpus: {case.gpus} needs as many GPUs, and {known}")


def check_possible(case: Case, device: torch.device) -> None:
    """Raise SettingError for what this machine and this environment cannot run."""
    for hindrance in _hindrances(case, device, device.type == "cpu"):
        raise SettingError(hindrance)


def _hindrances(case: Case, device: torch.device, on_cpu: bool) -> Iterator[str]:
    """What is in the way, and what to do about it."""
    if on_cpu and is_full_scale(case):
        large = f"checkpoint: {case.checkpoint} is of full scale, and" if case.checkpoint else "scale: full"
        reason = find_gpus(os.environ).reason
        yield f"{large} needs a GPU, and torch sees none here{f' ({reason})' if reason else ''}"
    # Whatever its value (c10/cuda/CUDACachingAllocator.cpp): then torch counts no memory, and zeros would be told.
    if not on_cpu and _NO_CACHING in os.environ:
        yield f"{_NO_CACHING} is set: torch then does not count the memory that it allocates; unset it"
    yield from _no_encoder()
    if case.compile != "none":
        yield from _no_compilation(case.compile, on_cpu)
    if on_cpu and case.offload == "group_stream":
        yield "offload: group_stream needs a GPU, and torch sees none here; allowed: group"
    for row in ROWS:
        value = getattr(case, row.key)
        if (package := row.packages.get(value)) and version_of(package) is None:
            yield f"{row.key}: {value} needs the package {package}, which is not installed here"
    if case.attention == "xformers":
        yield from _no_xformers()
    if case.quantization == "fp8_rowwise" and (on_cpu or torch.cuda.get_device_capability(device) < _FP8_CAPABILITY):
        fp8 = "FP8 (compute capability 8.9 or more)"
        yield f"quantization: fp8_rowwise needs a GPU with {fp8}, and torch sees none here; allowed: int8_rowwise"
    if on_cpu and case.matmul_tf32:
        yield "matmul_tf32: true needs a GPU, and torch sees none here; allowed: false"
    if on_cpu and case.gpu_memory_gb is not None:
        yield f"gpu_memory_gb: {case.gpu_memory_gb:g} needs a GPU, and torch sees none here; allowed: none"
    # Again, since Snakemake's own environment may have nothing to look into it with.
    if case.image is not None and (problem := problem_of_image(named_path(case.image))):
        yield f"image: {case.image} {problem}"


def _no_encoder() -> Iterator[str]:
    """Why the video could not be written in the end."""
    try:
        imageio_ffmpeg.get_ffmpeg_version()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        yield f"ffmpeg does not run here ({error}); imageio-ffmpeg brings one, and IMAGEIO_FFMPEG_EXE may name another"


def _no_compilation(what: str, on_cpu: bool) -> Iterator[str]:
    """Why torch.compile would do nothing here, or fail in the first step."""
    for name in ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"):
        if os.environ.get(name) == "1":
            yield f"compile: {what}: {name}=1 in the environment turns compilation off; unset it"
    if on_cpu:
        for folder in (os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""), torch.__file__):
            if _SPLITTING.search(folder):
                why = "torch gives its C++ compiler no path with a blank, a quote or a backslash in it"
                yield f"compile: {what}: {why}, and {folder} has one; move the project, or Python's environment"
        try:
            get_cpp_compiler()
        except RuntimeError:
            yield f"compile: {what} needs a C++ compiler, and {os.environ.get('CXX') or 'g++'} does not run here"
    # As Triton looks for it (triton/runtime/build.py).
    elif not any(map(shutil.which, [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"])):
        yield f"compile: {what} needs a C compiler, and there is neither CC, gcc nor clang here"


def _no_xformers() -> Iterator[str]:
    """Why diffusers could not import it, and would compute with another backend."""
    try:
        import_module("xformers.ops")
    except (ImportError, OSError) as error:
        yield (
            f"attention: xformers cannot be loaded: {error}. `pip install --no-deps -r requirements-fast.txt` installs "
            "the version that holds FlashAttention-3, and libcudart.so.12, which it needs"
        )
