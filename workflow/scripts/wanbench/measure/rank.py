"""A further process of a case on several GPUs: does the same work as the measured one, unobserved.

Started by the supervisor beside `wanbench.measure.measured_process`, which is rank 0, as

    python -m wanbench.measure.rank SUPERVISOR_PID RANK JOB.json
"""

import os
import sys
from pathlib import Path

from wanbench.measure.error_report import leave, reported
from wanbench.measure.job import Job
from wanbench.measure.stage_clock import NoPeakMemory, StageClock
from wanbench.util.event_log import EventLog
from wanbench.util.lifeline import die_with_parent


def main(supervisor_pid: int, rank: int, job_file: Path) -> int:
    """Work on the job's case; the exit code tells how it ended."""
    die_with_parent(supervisor_pid)
    job = Job.from_json(job_file.read_text("utf-8"))
    return reported(lambda: _work(job, rank), EventLog(job.events_of(rank)))


def _work(job: Job, rank: int) -> None:
    import torch

    from wanbench.measure.environment import software_and_hardware
    from wanbench.measure.wan.build import build_pipeline
    from wanbench.measure.wan.generate import pipeline_arguments
    from wanbench.measure.wan.ranks import join_ranks
    from wanbench.measure.wan.setup import apply_settings, check_enough_gpus, check_gpu, check_possible

    case = job.case
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_gpu(software_and_hardware(device, job.conda_env)["gpu"], job.gpus_of(rank))
    check_enough_gpus(case, device, len(job.gpus))
    check_possible(case, device)
    # From here on what all ranks wait for comes in the same order as in the measured process.
    ranks = join_ranks(rank, case.gpus, job.rendezvous, device, case.timeout_s)
    clock = StageClock(EventLog(Path(os.devnull)), synchronise=lambda: None, memory=NoPeakMemory())
    pipe = build_pipeline(case, device, clock)
    apply_settings(pipe, case, device)
    ranks.meet("placed")
    for generation in range(case.warmup + case.repeats):
        ranks.follow(f"generation {generation}")
        pipe(**pipeline_arguments(case))
    ranks.part()


if __name__ == "__main__":
    leave(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
