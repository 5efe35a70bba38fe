"""A further process of a case on several GPUs: does the same work as the measured one, unobserved.

Started by the supervisor beside `wanbench.measure.measured_process`, which is rank 0, as

    python -m wanbench.measure.rank SUPERVISOR_PID RANK JOB.json
"""

import sys
from pathlib import Path

from wanbench.measure.job import Job
from wanbench.measure.measured_process import leave, reporting_errors
from wanbench.util.event_log import EventLog
from wanbench.util.lifeline import die_with_parent


def main(supervisor_pid: int, rank: int, job_file: Path) -> int:
    """Work on the job's case; the exit code shows how it ended."""
    die_with_parent(supervisor_pid)
    job = Job.from_json(job_file.read_text("utf-8"))
    return reporting_errors(lambda: _work(job, rank), EventLog(job.events_of(rank)))


def _work(job: Job, rank: int) -> None:
    from wanbench.measure.wan.run_case import work_on_case

    work_on_case(job, rank)


if __name__ == "__main__":
    leave(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
