"""One typical step and one decoding of a case under torch's profiler.

Apart from what is measured: a case's own process is never profiled.
"""

import json
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from diffusers import DiffusionPipeline
from torch.profiler import ProfilerActivity, profile, record_function

from wanbench.cases.case import Case, case_sha256
from wanbench.measure import cuda
from wanbench.measure.environment import software_and_hardware
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.generate import pipeline_arguments
from wanbench.measure.wan.hindrances import check_possible
from wanbench.measure.wan.setup import apply_settings, transformers_of
from wanbench.measure.wan.weight_transfers import wrapped
from wanbench.models.flops import class_flops
from wanbench.trace.kernel_profile import SCHEMA_VERSION, Kernel, kernels_of, perfetto_events, stage_profile

# The first is cold, the last is another formula of the scheduler, and with so few steps the expert changes at the third
# (I2V-A14B) or the last (T2V-A14B). The second and the third are measured without the profiler.
STEPS, _PROFILED = 5, 3


@dataclass
class _Profile:
    """What was recorded, of a GPU or of operators, and how long it took; known once its block is left."""

    kernels: list[Kernel] = field(default_factory=list)
    on_gpu: bool = False
    time_s: float = 0.0


def profile_case(case: Case, conda_env: str | None) -> dict[str, Any]:
    """A Chrome trace of the step's kernels, with the figures of step and decoding beside its events.

    Raises:
        SettingError: something of the case cannot be done here.
    """
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    environment = software_and_hardware(device, conda_env)
    check_possible(case, device)
    sha256, case = case_sha256(case), replace(case, steps=STEPS)
    pipe = build_pipeline(case, device, StageClock.silent())
    apply_settings(pipe, case, device)
    step, step_s, latents = _step(pipe, case)
    with torch.no_grad():
        begin_s = _idle_s()
        pipe.vae.decode(latents, return_dict=False)
        decoding_s = _idle_s() - begin_s
        with _named_modules(pipe, case), _profiled() as decoding:
            pipe.vae.decode(latents, return_dict=False)
    pipe.maybe_free_model_hooks()
    # On a CPU their names do not tell the data type.
    flops = class_flops(pipe, case) if step.on_gpu else {}
    rate = cuda.run_matmul()[0] if on_gpu else None
    return {
        "schema_version": SCHEMA_VERSION,
        "case": case.settings(),
        "case_sha256": sha256,
        "environment": environment,
        "of": "kernels" if step.on_gpu else "operators",
        "matmul_flops_per_s": rate,
        "stages": {
            name: stage_profile(profiled.kernels, profiled.time_s, unprofiled_s, flops.get(name, {}))
            for name, profiled, unprofiled_s in (("Step", step, step_s), ("VAE_Decoding", decoding, decoding_s))
        },
        "traceEvents": perfetto_events(step.kernels, step.on_gpu),
    }


def _step(pipe: DiffusionPipeline, case: Case) -> tuple[_Profile, float, torch.Tensor]:
    """The profiled step, the time of one before it in seconds, and the latents that are decoded at last."""
    ends_s: list[float] = []
    profiles: list[_Profile] = []
    running = ExitStack()

    def after_step(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        ends_s.append(_idle_s())
        if step == _PROFILED - 1:
            running.enter_context(_named_modules(pipe, case))
            profiles.append(running.enter_context(_profiled()))
        elif step == _PROFILED:
            running.close()
        return values

    with patch.object(pipe.vae, "decode", wraps=pipe.vae.decode) as decode:
        pipe(**pipeline_arguments(case) | {"callback_on_step_end": after_step})
    return profiles[0], ends_s[1] - ends_s[0], decode.call_args.args[0]


@contextmanager
def _profiled() -> Iterator[_Profile]:
    profiled = _Profile()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities, record_shapes=True) as profiler:
        begin_s = _idle_s()
        yield profiled
        profiled.time_s = _idle_s() - begin_s
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "profile.json")
        profiler.export_chrome_trace(str(file))
        events = json.loads(file.read_text("utf-8", errors="replace"))["traceEvents"]
    profiled.kernels, profiled.on_gpu = kernels_of(events)


def _idle_s() -> float:
    """The time in seconds, once the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _named_modules(pipe: DiffusionPipeline, case: Case) -> AbstractContextManager[None]:
    """Let the profiler see which module runs, by its path without numbers, such as `blocks.N.attn1.to_q`.

    Blocks that were compiled would be compiled anew for it, so none of theirs are named.
    """
    denoisers = transformers_of(pipe) if case.compile == "none" else []
    modules = chain(*(model.named_modules() for model in (*denoisers, pipe.vae.decoder)))
    return wrapped(
        *((module, "forward", record_function(re.sub(r"\b\d+\b", "N", path))) for path, module in modules if path)
    )
