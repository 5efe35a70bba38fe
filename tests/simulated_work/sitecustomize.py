"""A case's stages without its model, where it is not the model that is tested: processes that import no torch.

With this folder on PYTHONPATH; supervisor, measured process, sampler and trace are the real ones. SIMULATED_WORK is
Python that rank 0 runs in each `step`, and another `rank` once; it has the `attempt`.
"""

import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

_ENVIRONMENT = {"python": "3.11", "packages": {}, "platform": "Linux", "cpu_name": None, "device": "cpu", "gpu": None}
_ENVIRONMENT |= {"cpu_cores_logical": 1, "sys_mem_total_bytes": 10**10}


def work_on_case(attempt: Any, rank: int, step: int | None = None) -> None:
    known = {"attempt": attempt, "rank": rank, "step": step, "os": os, "time": time, "Path": Path}
    exec(os.environ["SIMULATED_WORK"], known)


def measure_case(attempt: Any, clock: Any) -> None:
    from wanbench.registry import stages

    case = attempt.case
    clock.note("environment", values=_ENVIRONMENT)
    clock.end()
    with clock.span(stages.TOTAL_EXECUTION):
        with clock.span(stages.MODEL_INITIALIZATION):
            pass
        clock.note("generation", number=0, measured=True)
        with clock.span(stages.PREPROCESS), clock.span(stages.TEXT_ENCODING):
            pass
        for step in range(case.steps):
            with clock.span(f"Step_{step}", "step", step=step, steps=case.steps):
                work_on_case(attempt, 0, step)
        with clock.span(stages.VAE_DECODING):
            pass
        with clock.span(stages.VIDEO_EXPORT):
            attempt.video.parent.mkdir(exist_ok=True)
            attempt.video.write_bytes(b"video")
    settings = case.settings()
    applied = {key: settings[key] for key in ("size", "frames", "steps", "offload", "dtype")}
    clock.note("result", applied=applied, output_finite=True, video_bytes=attempt.video.stat().st_size)


# Module, the supervisor's process ID, rank, file of the attempt.
if sys.orig_argv[5:6] == ["wanbench.measure.measured_process"]:
    simulated = ModuleType("wanbench.measure.wan.run_case")
    simulated.measure_case, simulated.work_on_case = measure_case, work_on_case
    sys.modules[simulated.__name__] = simulated
