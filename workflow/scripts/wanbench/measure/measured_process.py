"""A process of a case: runs it, and writes down what happens.

Rank 0 is measured; the others, of a case on several GPUs, do the same work beside it, unobserved. Started by the
supervisor, in the environment that is measured, as

    python -m wanbench.measure.measured_process SUPERVISOR_PID RANK JOB.json
"""

import os
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from wanbench.measure.attempt import Attempt
from wanbench.measure.outcome import EXIT_DISK_FULL, is_out_of_memory
from wanbench.measure.stage_clock import StageClock
from wanbench.registry.stages import PROCESS_STARTUP
from wanbench.util.event_log import EventLog
from wanbench.util.lifeline import die_with_parent


def main(supervisor_pid: int, rank: int, job_file: Path) -> int:
    """Run the attempt's case, and write down the error if there is one; the exit code shows how it ended."""
    die_with_parent(supervisor_pid)
    attempt = Attempt.from_json(job_file.read_text("utf-8"))
    log = EventLog(attempt.events_of(rank))
    clock = StageClock(log)
    try:
        if rank == 0:
            clock.begin(PROCESS_STARTUP, at_ns=attempt.spawned_ns)
        # With torch and diffusers, which are a part of Process_Startup.
        from wanbench.measure.wan.run_case import measure_case, work_on_case

        if rank == 0:
            measure_case(attempt, clock)
        else:
            work_on_case(attempt, rank)
    except Exception as error:
        record = {"type": type(error).__name__, "message": str(error), "out_of_memory": is_out_of_memory(error)}
        try:
            log.write({"record": "error", "time_ns": time.monotonic_ns()} | record)
        except OSError:
            return EXIT_DISK_FULL
        if not record["out_of_memory"]:
            traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End the process."""
    # Not imported here, where it may not have been needed.
    distributed = sys.modules.get("torch.distributed")
    if code and distributed is not None and distributed.is_initialized():
        # On its way out, torch would wait for the other ranks, which wait for this one.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
