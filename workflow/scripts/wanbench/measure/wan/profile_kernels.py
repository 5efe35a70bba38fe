"""One typical step and one decoding of a case under torch's profiler.

Apart from what is measured: a case's own process is never profiled.
"""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn
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
from wanbench.util.event_log import EventLog

# The first is cold, the last is another formula of the scheduler, and with so few steps the expert changes at the third
# (I2V-A14B) or the last (T2V-A14B). The second and the third are measured without the profiler.
STEPS, _PROFILED = 5, 3
_Recorded = tuple[list[Kernel], bool, float]


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
    clock = StageClock(EventLog(Path(os.devnull)), lambda: None)
    pipe = build_pipeline(case, device, clock)
    apply_settings(pipe, case, device)
    step, step_s, latents = _step(pipe, case)
    with torch.no_grad():
        decoding_s = _timed(lambda: pipe.vae.decode(latents, return_dict=False))
        with _named_modules(pipe, case):
            decoding = _profiled(lambda: pipe.vae.decode(latents, return_dict=False))
    pipe.maybe_free_model_hooks()
    # On a CPU their names do not tell the data type.
    flops = class_flops(pipe, case) if step[1] else {}
    stages = {"Step": (step, step_s), "VAE_Decoding": (decoding, decoding_s)}
    rate = cuda.run_matmul()[0] if on_gpu else None
    return {
        "schema_version": SCHEMA_VERSION,
        "case": case.settings(),
        "case_sha256": sha256,
        "environment": environment,
        "of": "kernels" if step[1] else "operators",
        "matmul_flops_per_s": rate,
        "stages": {
            name: stage_profile(kernels, profiled_s, unprofiled_s, flops.get(name, {}))
            for name, ((kernels, _, profiled_s), unprofiled_s) in stages.items()
        },
        "traceEvents": perfetto_events(step[0], step[1]),
    }


def _step(pipe: DiffusionPipeline, case: Case) -> tuple[_Recorded, float, torch.Tensor]:
    """The profiled step, the time of one before it in seconds, and the latents that are decoded at last."""
    ends_s: list[float] = []
    decoded: list[torch.Tensor] = []
    recorded: list[_Recorded] = []
    running: list[Callable[[], _Recorded]] = []
    modules = _named_modules(pipe, case)

    def after_step(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        _synchronise()
        ends_s.append(time.perf_counter())
        if step == _PROFILED - 1:
            modules.__enter__()
            running.append(_begin_profile())
        elif step == _PROFILED:
            recorded.append(running.pop()())
            modules.__exit__(None, None, None)
        return values

    def keep(original: Callable[..., Any]) -> Callable[..., Any]:
        def decode(latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            decoded.append(latents)
            return original(latents, *args, **kwargs)

        return decode

    with wrapped((pipe.vae, "decode", keep)):
        pipe(**pipeline_arguments(case) | {"callback_on_step_end": after_step})
    return recorded[0], ends_s[1] - ends_s[0], decoded[0]


def _begin_profile() -> Callable[[], _Recorded]:
    """Start the profiler; what is returned ends it, and gives what it recorded and how long that took, in seconds."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    profiler = profile(activities=activities, record_shapes=True)
    profiler.__enter__()
    _synchronise()
    begin_s = time.perf_counter()

    def end() -> _Recorded:
        _synchronise()
        time_s = time.perf_counter() - begin_s
        profiler.__exit__(None, None, None)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "profile.json")
            profiler.export_chrome_trace(str(file))
            events = json.loads(file.read_text("utf-8", errors="replace"))["traceEvents"]
        return *kernels_of(events), time_s

    return end


def _profiled(run: Callable[[], Any]) -> _Recorded:
    end = _begin_profile()
    run()
    return end()


def _timed(run: Callable[[], Any]) -> float:
    _synchronise()
    begin_s = time.perf_counter()
    run()
    _synchronise()
    return time.perf_counter() - begin_s


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@contextmanager
def _named_modules(pipe: DiffusionPipeline, case: Case) -> Iterator[None]:
    """Let the profiler see which module runs, by its path without numbers, such as `blocks.N.attn1.to_q`.

    Compiled blocks would be compiled anew for the hooks, so none of theirs are named.
    """
    denoisers = transformers_of(pipe) if case.compile == "none" else []
    hooks = []
    for model in (*denoisers, pipe.vae.decoder):
        for path, module in model.named_modules():
            if path:
                hooks += _name_in_profile(module, re.sub(r"\b\d+\b", "N", path))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _name_in_profile(module: nn.Module, path: str) -> list[Any]:
    running: list[record_function] = []

    def begin(*_: Any) -> None:
        running.append(record_function(path))
        running[-1].__enter__()

    def end(*_: Any) -> None:
        running.pop().__exit__(None, None, None)

    return [module.register_forward_pre_hook(begin), module.register_forward_hook(end, always_call=True)]
