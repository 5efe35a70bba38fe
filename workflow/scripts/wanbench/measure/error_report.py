"""What a process of a case tells of an error before it ends."""

import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from wanbench.measure.outcome import EXIT_DISK_FULL, EXIT_ERROR, is_out_of_memory
from wanbench.util.event_log import EventLog


def reported(run: Callable[[], None], log: EventLog) -> int:
    """Run, and write down the error if there is one; the exit code tells how it ended."""
    try:
        run()
    except Exception as error:
        told = {"type": type(error).__name__, "message": str(error), "out_of_memory": is_out_of_memory(error)}
        try:
            log.write({"record": "error", "time_ns": time.monotonic_ns()} | told)
        except OSError:
            return EXIT_DISK_FULL
        if not told["out_of_memory"]:
            import traceback

            traceback.print_exc()
        return EXIT_ERROR
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
