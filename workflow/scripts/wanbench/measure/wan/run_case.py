"""Run a job's case: observed in the measured process, unobserved in the other ranks of a case on several GPUs."""

import sys
import time
from contextlib import suppress
from dataclasses import asdict

import numpy as np
import psutil
import torch
from diffusers import DiffusionPipeline

from wanbench.cases.case import Case
from wanbench.measure import cuda
from wanbench.measure.attempt import Attempt
from wanbench.measure.environment import software_and_hardware
from wanbench.measure.kept_frames import keep_frames
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.generate import final_latents, generate, pipeline_arguments
from wanbench.measure.wan.hindrances import SettingError, check_enough_gpus, check_gpu, check_possible
from wanbench.measure.wan.observe import observe
from wanbench.measure.wan.ran import what_ran
from wanbench.measure.wan.ranks import ALONE, Ranks, join_ranks
from wanbench.measure.wan.setup import apply_settings, check_in_force, settings_in_force, settings_of_output
from wanbench.models.flops import stage_flops
from wanbench.registry import stages as stage_names
from wanbench.util.paths import named_path


def measure_case(job: Attempt, clock: StageClock) -> None:
    """Run the case in the measured process, whose startup is an open span and ends here.

    Raises:
        SettingError: something of the case cannot be done here, or was not in force.
    """
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    environment = software_and_hardware(device, job.conda_env)
    clock.note("environment", values=environment)
    clock.end()
    if on_gpu:
        clock.synchronise, clock.take_peak = torch.cuda.synchronize, cuda.take_peak
    _check(job, 0, device, environment["gpu"])
    try:
        pipe, frames, ranks = _total_execution(job, device, clock)
    except Exception:
        clock.abandon()
        raise
    applied = settings_in_force(pipe) | settings_of_output(pipe, frames)
    check_in_force(applied, job.case)
    finite = bool(np.isfinite(frames).all())
    ran = what_ran(pipe, job.case)
    clock.note("result", applied=applied, ran=ran, output_finite=finite, video_bytes=job.video.stat().st_size)
    # With the other ranks' GPUs idle and this one's result safe.
    ranks.part()
    if on_gpu:
        multiply_matrices(clock)
    # After that: the GPU would cool down meanwhile.
    if job.keep_frames:
        clock.note("kept", values=keep_frames(frames, final_latents(pipe), job.frames))


def _check(job: Attempt, rank: int, device: torch.device, gpu: dict | None) -> None:
    check_gpu(gpu, job.gpus_of(rank))
    check_enough_gpus(job.case, device, len(job.gpus))
    check_possible(job.case, device)
    if job.case.gpu_memory_gb is not None:
        try:
            cuda.limit_memory(job.case.gpu_memory_gb, job.case.gpus)
        except ValueError as error:
            raise SettingError(str(error)) from None


def _total_execution(
    job: Attempt, device: torch.device, clock: StageClock
) -> tuple[DiffusionPipeline, np.ndarray, Ranks]:
    """The pipeline, the frames of its last generation, and the ranks of the case."""
    case, ranks = job.case, ALONE
    clock.begin(stage_names.TOTAL_EXECUTION)
    clock.begin(stage_names.MODEL_INITIALIZATION)
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
    return pipe, frames, ranks


def _loaded(case: Case, before_bytes: int | None) -> dict[str, int]:
    """What initialisation read of a checkpoint folder; nothing of the hub's cache, which may hold more than one."""
    if case.checkpoint is None or not named_path(case.checkpoint).is_dir():
        return {}
    files = named_path(case.checkpoint).rglob("*.safetensors")
    loaded, after_bytes = {"checkpoint_bytes": sum(file.stat().st_size for file in files)}, disk_read_bytes()
    if before_bytes is not None and after_bytes is not None:
        loaded["disk_read_bytes"] = after_bytes - before_bytes
    return loaded


def disk_read_bytes() -> int | None:
    """Bytes that this process has made the kernel fetch from disks so far; None where Linux does not say."""
    with suppress(psutil.Error, OSError, RuntimeError, AttributeError):
        return psutil.Process().io_counters().read_bytes
    return None


def multiply_matrices(clock: StageClock) -> None:
    """Note the rate of this GPU and the times of a known load, or that there is none: the case is complete without."""
    begin_s, rate, busy_ns = time.monotonic(), None, None
    try:
        rate, busy_ns = cuda.run_matmul()
    except Exception as error:
        # Whatever it is: the GPU's memory is full of the case, and CUDA has many names for that.
        print(f"matrix products: {type(error).__name__}: {error}", file=sys.stderr)
    clock.note("matmul", time_s=time.monotonic() - begin_s, flops_per_s=rate, busy_ns=busy_ns)


def work_on_case(job: Attempt, rank: int) -> None:
    """Do what the measured process does, as another rank, unobserved and without writing the video.

    Raises:
        SettingError: something of the case cannot be done here.
    """
    case = job.case
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _check(job, rank, device, software_and_hardware(device, job.conda_env)["gpu"])
    # From here on what all ranks wait for comes in the same order as in the measured process.
    ranks = join_ranks(rank, case.gpus, job.rendezvous, device, case.timeout_s)
    clock = StageClock.silent()
    pipe = build_pipeline(case, device, clock)
    apply_settings(pipe, case, device)
    ranks.meet("placed")
    for generation in range(case.warmup + case.repeats):
        ranks.follow(f"generation {generation}")
        pipe(**pipeline_arguments(case))
    ranks.part()
