"""The measuring process: run one case, writing down every stage as it happens.

Started by the supervisor, in the environment that is measured, as

    python -m wanbench.measure.measured_process SUPERVISOR_PID JOB.json
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path

from wanbench.cases.case import Case
from wanbench.measure.disk import disk_read_bytes, weights_bytes
from wanbench.measure.error_report import leave, reported
from wanbench.measure.job import Job
from wanbench.measure.stage_clock import NoPeakMemory, StageClock
from wanbench.registry import stages as stage_names
from wanbench.util.event_log import EventLog
from wanbench.util.lifeline import die_with_parent
from wanbench.util.paths import named_path


def main(supervisor_pid: int, job_file: Path) -> int:
    """Measure the job's case; the exit code tells how it ended."""
    die_with_parent(supervisor_pid)
    job = Job.from_json(job_file.read_text("utf-8"))
    log = EventLog(job.events)
    return reported(lambda: _measure(job, log), log)


def _measure(job: Job, log: EventLog) -> None:
    log.write(
        {
            "record": "begin",
            "span": 0,
            "name": stage_names.PROCESS_STARTUP,
            "kind": "stage",
            "time_ns": job.spawned_ns,
            "args": {},
        }
    )
    import numpy as np
    import torch

    from wanbench.measure.cuda import CudaPeakMemory
    from wanbench.measure.environment import software_and_hardware
    from wanbench.measure.wan.build import build_pipeline
    from wanbench.measure.wan.generate import generate
    from wanbench.measure.wan.observe import observe
    from wanbench.measure.wan.ranks import ALONE, join_ranks
    from wanbench.measure.wan.setup import (
        apply_settings,
        check_enough_gpus,
        check_gpu,
        check_in_force,
        check_possible,
        settings_in_force,
        settings_of_output,
    )
    from wanbench.models.flops import stage_flops

    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    clock = StageClock(
        log,
        synchronise=torch.cuda.synchronize if on_gpu else lambda: None,
        memory=CudaPeakMemory() if on_gpu else NoPeakMemory(),
    )
    environment = software_and_hardware(device, job.conda_env)
    clock.note("environment", values=environment)
    log.write({"record": "end", "span": 0, "time_ns": time.monotonic_ns(), "args": {}})

    case = job.case
    check_gpu(environment["gpu"], job.gpus_of(0))
    check_enough_gpus(case, device, len(job.gpus))
    check_possible(case, device)
    try:
        clock.begin(stage_names.TOTAL_EXECUTION)
        clock.begin(stage_names.MODEL_INITIALIZATION)
        ranks = ALONE
        if case.gpus > 1:
            with clock.span("Process_Group", "detail"):
                ranks = join_ranks(0, case.gpus, job.rendezvous, device, case.timeout_s)
        before_bytes = disk_read_bytes()
        pipe = build_pipeline(case, device, clock)
        with clock.span("Placement", "detail"):
            apply_settings(pipe, case, device)
        # Else the first pass would contain the wait for the rank that made its weights last.
        ranks.meet("placed")
        clock.end(**_loaded(case, before_bytes))
        clock.note("flops", values=asdict(stage_flops(pipe, case)))
        with observe(pipe, clock):
            for generation in range(case.warmup + case.repeats):
                clock.note("generation", number=generation, measured=generation >= case.warmup)
                ranks.follow(f"generation {generation}")
                frames = generate(pipe, case, job.video, clock)
        clock.end()
    except Exception:
        clock.abandon()
        raise
    applied = settings_in_force(pipe) | settings_of_output(pipe, frames)
    check_in_force(applied, case)
    clock.note(
        "result",
        applied=applied,
        output_finite=bool(np.isfinite(frames).all()),
        video_bytes=job.video.stat().st_size,
    )
    # With the other ranks' GPUs idle and this one's result safe.
    ranks.part()
    if on_gpu:
        multiply_matrices(clock)


def multiply_matrices(clock: StageClock) -> None:
    """Note the rate of this GPU and the times of a known load, or that there is none: the case is complete without."""
    from wanbench.measure.cuda import run_matmul

    begin_s, run = time.monotonic(), None
    try:
        run = run_matmul()
    except Exception as error:
        # Whatever it is: the GPU's memory is full of the case, and CUDA has many names for that.
        print(f"matrix products: {type(error).__name__}: {error}", file=sys.stderr)
    clock.note(
        "matmul",
        time_s=time.monotonic() - begin_s,
        flops_per_s=run and run.flops_per_s,
        busy_ns=run and run.busy_ns,
    )


def _loaded(case: Case, before_bytes: int | None) -> dict[str, int]:
    """What initialisation read of a checkpoint folder; nothing of the hub's cache, which may hold more than one."""
    if case.checkpoint is None or not named_path(case.checkpoint).is_dir():
        return {}
    loaded = {"checkpoint_bytes": weights_bytes(named_path(case.checkpoint))}
    after_bytes = disk_read_bytes()
    if before_bytes is not None and after_bytes is not None:
        loaded["disk_read_bytes"] = after_bytes - before_bytes
    return loaded


if __name__ == "__main__":
    leave(main(int(sys.argv[1]), Path(sys.argv[2])))
